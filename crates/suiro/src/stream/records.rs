//! Whole records: key, value, time and headers at once.

use crate::operators::each;
use crate::{Record, Stream};
use suiro_core::Headers;

impl<K: Send + 'static, V: Send + 'static> Stream<K, V> {
    /// Makes each value the whole record: with its key, its time and its headers. So whatever
    /// step comes next can look at all of them; key, time and headers of the stream stay.
    ///
    /// ```
    /// use suiro::{Record, TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const URGENT: Topic<String, u64> = Topic::json("urgent-orders");
    ///
    /// let topology = Topology::new("orders");
    /// let urgent = topology.stream(&ORDERS).records().filter(|order| {
    ///     order.headers.iter().any(|header| header.key == "urgent")
    /// });
    /// urgent.map(|order| order.value).to(&URGENT);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// let order = Record::new("ann".to_owned(), 250, 0);
    /// driver.send_record(&ORDERS, order.clone())?;
    /// let headers = [("urgent", "yes")].into_iter().collect();
    /// driver.send_record(&ORDERS, Record { headers, ..order.with_value(300) })?;
    /// let urgent = driver.read(&URGENT)?;
    /// assert_eq!((urgent.len(), urgent[0].value), (1, 300));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "transformValues")]
    #[doc(alias = "headers")]
    pub fn records(self) -> Stream<K, Record<K, V>>
    where
        K: Clone,
    {
        each::add(self, "records", |rows, out| {
            out.extend(rows.map(|row| {
                let (key, at, headers) = (row.key.clone(), row.at, row.headers.clone());
                Record { key, value: row, at, headers }
            }));
            Ok(())
        })
    }

    /// Gives each record other headers; all else stays.
    ///
    /// ```
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const ORDERS: Topic<String, u64> = Topic::json("orders");
    /// const MARKED: Topic<String, u64> = Topic::json("marked-orders");
    ///
    /// let topology = Topology::new("orders");
    /// let orders = topology.stream(&ORDERS);
    /// orders.with_headers(|_| [("from", "shop")].into_iter().collect()).to(&MARKED);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&ORDERS, "ann".into(), 250, 0)?;
    /// assert_eq!(driver.read(&MARKED)?[0].headers.iter().next().unwrap().key, "from");
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn with_headers(
        self,
        headers: impl Fn(&Record<K, V>) -> Headers + Send + Sync + 'static,
    ) -> Stream<K, V> {
        each::add(self, "with_headers", move |rows, out| {
            for row in rows {
                let headers = headers(&row);
                out.push(Record { headers, ..row });
            }
            Ok(())
        })
    }
}
