//! Snapshots in a bucket of an S3 server of another make, which runs in this process.

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use suiro::{App, AppState, Log, Producer, Snapshots, Topic, Topology};
use suiro_store::ObjectStorage;

const CLICKS: Topic<String, u64> = Topic::json("clicks");

/// A server with one bucket, as long as it lives.
struct Server {
    endpoint: String,
    buckets: AtomicU32,
    dir: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = s3s_fs::FileSystem::new(dir.path()).unwrap();
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single("key", "secret"));
        let service = builder.build();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let http = Builder::new(TokioExecutor::new());
                    // A client that hangs up is no trouble of the server.
                    let _ = http.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { endpoint, buckets: AtomicU32::new(0), dir, _runtime: runtime }
    }

    /// A new bucket.
    fn bucket(&self) -> ObjectStorage {
        let number = self.buckets.fetch_add(1, Ordering::Relaxed);
        let name = format!("bucket-{number}");
        std::fs::create_dir(self.dir.path().join(&name)).unwrap();
        let options = [
            ("aws_endpoint", self.endpoint.as_str()),
            ("aws_allow_http", "true"),
            ("aws_region", "us-east-1"),
            ("aws_access_key_id", "key"),
            ("aws_secret_access_key", "secret"),
        ];
        ObjectStorage::bucket_with(&format!("s3://{name}/some/prefix"), options).unwrap()
    }
}

#[test]
fn a_bucket_is_an_object_store() {
    let server = Server::start();
    suiro_core::conformance::objects::run(&mut || Box::new(server.bucket()));
}

#[test]
fn an_app_restarts_from_a_bucket() {
    let server = Server::start();
    let objects = server.bucket();
    let log = Log::in_memory();
    let start = || {
        let topology = Topology::new("shop");
        let _counts = topology.stream(&CLICKS).count("counts");
        let snapshots = Snapshots::in_objects(Duration::from_hours(1), objects.clone());
        let app = App::new(topology.build().unwrap(), log.clone()).partitions(2);
        app.snapshots(snapshots).start().unwrap()
    };
    let running = start();
    let mut clicks = Producer::open(&log, &CLICKS).unwrap();
    for number in 0..1_000 {
        clicks.send(format!("user-{}", number % 50), number, number as i64).unwrap();
    }
    clicks.flush().unwrap();
    while running.metrics().records_in < 1_000 {
        std::thread::yield_now();
    }
    assert_eq!(running.snapshot().unwrap().taken, 2);
    running.shutdown().unwrap();

    // As in a service: from within a runtime of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let running = start();
        while matches!(running.state(), AppState::Restoring(_)) {
            std::thread::yield_now();
        }
        let metrics = running.metrics();
        assert_eq!((metrics.loaded, metrics.restored), (50, 0));
        running.shutdown().unwrap();
    });
}
