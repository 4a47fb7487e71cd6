//! What a coordinator says to the end of a transaction that is sent once more: on that rests that
//! whoever waits for it may ask in this way.
#![allow(clippy::unwrap_used)]

mod talk;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse,
    ListOffsetsRequest, ListOffsetsResponse, ProduceRequest, ProduceResponse, RequestHeader,
    ResponseHeader, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use std::io::{Read, Write};
use std::net::TcpStream;
use suiro_core::TopicPartition;
use suiro_core::batch::{BatchWriter, Compression, Producer, set_producer};
use suiro_core::broker::Broker;
use suiro_core::{Headers, Timestamp};
use suiro_kafka::{Kafka, Settings};
use suiro_kafka_harness::Kafka as Cluster;
use talk::create;

/// A connection on which each request waits for its answer.
struct Wire(TcpStream);

impl Wire {
    fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version);
        let mut out = BytesMut::new();
        out.put_u32(0);
        let key = ApiKey::try_from(R::KEY).unwrap();
        header.encode(&mut out, key.request_header_version(version)).unwrap();
        request.encode(&mut out, version).unwrap();
        let length = out.len() as u32 - 4;
        out[..4].copy_from_slice(&length.to_be_bytes());
        self.0.write_all(&out).unwrap();
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut answer).unwrap();
        let mut answer = Bytes::from(answer);
        ResponseHeader::decode(&mut answer, R::Response::header_version(version)).unwrap();
        R::Response::decode(&mut answer, version).unwrap()
    }
}

/// A producer of transactions, word by word.
struct Holder {
    wire: Wire,
    name: TransactionalId,
    topic: TopicName,
    id: i64,
    epoch: i16,
}

/// A broker that does not lead a partition, or has not heard that it does.
const NOT_LEADER: i16 = 6;
/// What lies between a transaction and the answer that it has not ended yet.
const CONCURRENT: i16 = 51;

impl Holder {
    /// Asks until the coordinator is there, and has nothing to end any more.
    fn begin(bootstrap: &str, name: &str, topic: &str) -> Self {
        let wire = Wire(TcpStream::connect(bootstrap).unwrap());
        let name = TransactionalId(StrBytes::from_string(name.to_owned()));
        let topic = TopicName(StrBytes::from_string(topic.to_owned()));
        let mut holder = Self { wire, name, topic, id: -1, epoch: -1 };
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(holder.name.clone()))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        loop {
            let response: InitProducerIdResponse = holder.wire.ask(&request, 5);
            if response.error_code == 0 {
                (holder.id, holder.epoch) = (response.producer_id.0, response.producer_epoch);
                return holder;
            }
        }
    }

    /// Writes a record in the epoch that it has. A topic that was just made may not have a leader
    /// that knows of it.
    fn write(&mut self) -> i16 {
        loop {
            let code = self.try_write();
            if code != NOT_LEADER {
                return code;
            }
        }
    }

    fn try_write(&mut self) -> i16 {
        let mut writer = BatchWriter::new(Compression::None);
        writer.push(Timestamp::ZERO, None, Some(b"value"), &Headers::NONE);
        let mut batch = writer.finish().unwrap().to_vec();
        let (id, epoch) = (self.id, self.epoch);
        set_producer(&mut batch, Producer { id, epoch, sequence: 0, transactional: true });
        let data =
            PartitionProduceData::default().with_index(0).with_records(Some(batch.into()));
        let topic = TopicProduceData::default()
            .with_name(self.topic.clone())
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_transactional_id(Some(self.name.clone()))
            .with_acks(-1)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![topic]);
        let response: ProduceResponse = self.wire.ask(&request, 12);
        response.responses[0].partition_responses[0].error_code
    }

    /// Asks for the end of the transaction of an epoch.
    fn end(&mut self, epoch: i16, committed: bool) -> EndTxnResponse {
        let request = EndTxnRequest::default()
            .with_transactional_id(self.name.clone())
            .with_producer_id(self.id.into())
            .with_producer_epoch(epoch)
            .with_committed(committed);
        self.wire.ask(&request, 5)
    }

    /// Asks until it has ended everywhere.
    fn settled(&mut self, epoch: i16) -> EndTxnResponse {
        loop {
            let response = self.end(epoch, true);
            if response.error_code != CONCURRENT {
                return response;
            }
        }
    }

    /// How many records and marks are before the first transaction that is open.
    fn stable(&mut self) -> i64 {
        let latest = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(-1);
        let topic = ListOffsetsTopic::default()
            .with_name(self.topic.clone())
            .with_partitions(vec![latest]);
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_isolation_level(1)
            .with_topics(vec![topic]);
        let response: ListOffsetsResponse = self.wire.ask(&request, 5);
        response.topics[0].partitions[0].offset
    }
}

#[test]
fn an_end_that_is_sent_again_says_whether_it_is_over_and_changes_nothing() {
    let Some(cluster) = Cluster::shared() else { return };
    let kafka = Kafka::new(Settings::new(cluster.bootstrap()));
    let topic = TopicPartition::new(cluster.unique("topic"), 0);
    create(&mut *kafka.session(&cluster.unique("maker")).unwrap(), &topic);
    let name = cluster.unique("holder");
    let mut holder = Holder::begin(cluster.bootstrap(), &name, &topic.topic);

    let first = holder.epoch;
    assert_eq!(holder.write(), 0);
    let ended = holder.end(first, true);
    assert_eq!((ended.error_code, ended.producer_epoch), (0, first + 1));
    // When it says that it is over, nothing stands against the next one, and all see it.
    let again = holder.settled(first);
    assert_eq!((again.error_code, again.producer_epoch), (0, first + 1));
    assert_eq!(holder.stable(), 2);

    // To a transaction that has begun since it is nothing, however late it comes.
    holder.epoch = first + 1;
    assert_eq!(holder.write(), 0);
    let late = holder.settled(first);
    assert_ne!(late.error_code, 0, "{late:?}");
    assert_eq!(holder.stable(), 2);
    let ended = holder.end(first + 1, false);
    assert_eq!((ended.error_code, ended.producer_epoch), (0, first + 2));
    // Nor to one that was taken back.
    let late = holder.settled(first);
    assert_ne!(late.error_code, 0, "{late:?}");
}
