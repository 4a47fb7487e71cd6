//! Sinks that look at the record to know where it goes.

use crate::operators;
use crate::{Record, Stream, Topic};

impl<K: Send + 'static, V: Send + 'static> Stream<K, V> {
    /// Writes every record to the partition of `topic` that `partition` says, of so many, and
    /// ends the stream; [`to`](Stream::to) goes by the key.
    ///
    /// A table is read from the partitions of its keys, and so are the sides of a join: write a
    /// topic so only if its readers do not care. A partition that is not there is an error of the
    /// step, and one for its policy ([`Topology::on_error`](crate::Topology::on_error)).
    ///
    /// ```
    /// use suiro::{TestDriver, TestOptions, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const BY_SIZE: Topic<String, u64> = Topic::json("orders-by-size");
    ///
    /// let topology = Topology::new("orders");
    /// let by_size = topology.stream(&ORDERS);
    /// by_size.to_partition(&BY_SIZE, |order, of| if order.value < 100 { 0 } else { of - 1 });
    ///
    /// let options = TestOptions { partitions: 3, ..TestOptions::default() };
    /// let mut driver = TestDriver::with_options(topology.build()?, options)?;
    /// driver.send(&ORDERS, "ann".into(), 250, 0)?;
    /// assert_eq!(driver.read_changes(&BY_SIZE)?[0].partition, 2);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "StreamPartitioner")]
    #[doc(alias = "partitionCustom")]
    pub fn to_partition(
        self,
        topic: &Topic<K, V>,
        partition: impl Fn(&Record<K, V>, u32) -> u32 + Send + Sync + 'static,
    ) {
        operators::partition_sink::add(self, topic, partition);
    }

    /// Writes every record to the topic that `topic` says, and ends the stream.
    ///
    /// A topic that does not exist is created with the commit that first writes to it, with as
    /// many partitions as the tasks that write; until then its records are in memory. What is
    /// said of [`to`](Stream::to) holds here too. A name that no topic can have ends the app.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    ///
    /// let topology = Topology::new("orders");
    /// let orders = topology.stream(&ORDERS);
    /// orders.to_topic_of(|order| ORDERS.named(format!("orders-of-{}", order.key)));
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, "ann".into(), 250, 0)?;
    /// assert_eq!(driver.read(&ORDERS.named("orders-of-ann"))?[0].value, 250);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "TopicNameExtractor")]
    #[doc(alias = "KafkaRecordSerializationSchema")]
    pub fn to_topic_of(
        self,
        topic: impl Fn(&Record<K, V>) -> Topic<K, V> + Send + Sync + 'static,
    ) {
        operators::named_sink::add(self, topic);
    }
}
