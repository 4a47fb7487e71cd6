//! From frames to requests, to whoever answers them, and back to frames.

use super::counts::name;
use super::world::World;
use super::{
    configs, coordinators, ending, fetch, group, init, join, list_offsets, metadata, offsets,
    plain_offsets, produce, records, sync, topics, transaction,
};
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, FetchRequest, JoinGroupRequest, RequestHeader, ResponseHeader, SyncGroupRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    conn: usize,
    /// Which broker was asked.
    pub(crate) node: i32,
    correlation: i32,
    pub(crate) version: i16,
}

/// A broker takes a request.
pub(crate) fn serve(world: &mut World, conn: usize, node: i32, mut frame: Bytes) {
    let (key, version) = ((&frame[0..2]).get_i16(), (&frame[2..4]).get_i16());
    let api = ApiKey::try_from(key).expect("the client asks for what there is");
    let header = RequestHeader::decode(&mut frame, api.request_header_version(version));
    let header = header.expect("the client writes headers that can be read");
    *world.counts.requests.entry(key).or_default() += 1;
    let call = Call { conn, node, correlation: header.correlation_id, version };
    match api {
        ApiKey::ApiVersions => at_once(world, call, frame, metadata::versions),
        ApiKey::Metadata => at_once(world, call, frame, metadata::describe),
        ApiKey::CreateTopics => at_once(world, call, frame, topics::create),
        ApiKey::DescribeConfigs => at_once(world, call, frame, configs::describe),
        ApiKey::FindCoordinator => at_once(world, call, frame, coordinators::find),
        ApiKey::InitProducerId => at_once(world, call, frame, init::init),
        ApiKey::AddPartitionsToTxn => at_once(world, call, frame, transaction::add_partitions),
        ApiKey::AddOffsetsToTxn => at_once(world, call, frame, transaction::add_offsets),
        ApiKey::EndTxn => at_once(world, call, frame, ending::end),
        ApiKey::TxnOffsetCommit => at_once(world, call, frame, offsets::commit),
        ApiKey::OffsetCommit => at_once(world, call, frame, plain_offsets::commit),
        ApiKey::OffsetFetch => at_once(world, call, frame, offsets::fetch),
        ApiKey::Produce => at_once(world, call, frame, produce::produce),
        ApiKey::ListOffsets => at_once(world, call, frame, list_offsets::list),
        ApiKey::DeleteRecords => at_once(world, call, frame, records::delete),
        ApiKey::Heartbeat => at_once(world, call, frame, group::heartbeat),
        ApiKey::LeaveGroup => at_once(world, call, frame, group::leave),
        ApiKey::Fetch => fetch::fetch(world, call, decode::<FetchRequest>(frame, version)),
        ApiKey::JoinGroup => {
            join::join(world, call, decode::<JoinGroupRequest>(frame, version))
        }
        ApiKey::SyncGroup => {
            sync::sync(world, call, decode::<SyncGroupRequest>(frame, version))
        }
        other => unreachable!("the client does not ask for {other:?}"),
    }
}

fn decode<R: Request>(mut body: Bytes, version: i16) -> R {
    R::decode(&mut body, version).expect("the client writes requests that can be read")
}

/// A request that is answered when it is done.
fn at_once<R: Request>(
    world: &mut World,
    call: Call,
    body: Bytes,
    does: fn(&mut World, Call, R) -> R::Response,
) {
    let request: R = decode(body, call.version);
    let response = does(world, call, request);
    answer::<R>(world, call, &response);
}

/// A broker answers.
pub(crate) fn answer<R: Request>(world: &mut World, call: Call, response: &R::Response) {
    let mut out = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(call.correlation);
    let version = R::Response::header_version(call.version);
    let written = header.encode(&mut out, version);
    let written = written.and_then(|()| response.encode(&mut out, call.version));
    written.unwrap_or_else(|error| panic!("answer to {} is not right: {error}", name(R::KEY)));
    world.reply(call.conn, out.freeze());
}

/// Writes down that a request was refused, and gives the code.
pub(crate) fn said<R: Request>(world: &mut World, what: &str, code: i16) -> i16 {
    if code != 0 {
        *world.counts.errors.entry((R::KEY, code)).or_default() += 1;
    }
    world.note(|| format!("{} {what}: {code}", name(R::KEY)));
    code
}
