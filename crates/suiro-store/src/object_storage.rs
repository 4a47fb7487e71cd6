//! Directories and buckets, through the crate `object_store`.

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use suiro_core::objects::{ObjectInfo, Objects};
use suiro_core::{Error, Result, Timestamp};

/// Objects in a directory or, with the feature `s3`, in a bucket. Clones are the same place.
///
/// A write to a directory is not synced: after a loss of power an object may be damaged, which
/// who reads it will see.
///
/// ```
/// use suiro_core::objects::Objects;
/// use suiro_store::ObjectStorage;
///
/// let dir = tempfile::tempdir().unwrap();
/// let objects = ObjectStorage::directory(dir.path()).unwrap();
/// objects.put("shop/a", "one".into()).unwrap();
/// assert_eq!(std::fs::read(dir.path().join("shop/a")).unwrap(), b"one");
/// ```
#[derive(Clone)]
pub struct ObjectStorage {
    store: Arc<dyn ObjectStore>,
    #[cfg(feature = "s3")]
    runtime: Option<Arc<Runtime>>,
}

impl fmt::Debug for ObjectStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObjectStorage").field(&self.store.to_string()).finish()
    }
}

impl ObjectStorage {
    /// Objects as files in `dir`, which is made if it does not exist.
    ///
    /// ```
    /// use suiro_store::ObjectStorage;
    ///
    /// let dir = tempfile::tempdir().unwrap();
    /// ObjectStorage::directory(dir.path().join("snapshots")).unwrap();
    /// assert!(dir.path().join("snapshots").is_dir());
    /// ```
    pub fn directory(dir: impl AsRef<std::path::Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            let error =
                Error::unavailable("cannot open a directory of objects").caused_by(error);
            error.with("dir", dir.display())
        };
        std::fs::create_dir_all(dir).map_err(|error| failed(error.into()))?;
        let store = LocalFileSystem::new_with_prefix(dir).map_err(|e| failed(e.into()))?;
        Ok(Self {
            store: Arc::new(store),
            #[cfg(feature = "s3")]
            runtime: None,
        })
    }

    /// Waits for what the object store does.
    #[cfg(not(feature = "s3"))]
    fn wait<T: Send + 'static>(&self, what: impl Future<Output = T> + Send + 'static) -> T {
        pollster::block_on(what)
    }

    /// Waits for what the object store does: on the runtime that it needs, if it needs one.
    #[cfg(feature = "s3")]
    fn wait<T: Send + 'static>(&self, what: impl Future<Output = T> + Send + 'static) -> T {
        match &self.runtime {
            None => pollster::block_on(what),
            Some(runtime) => runtime.wait(what),
        }
    }
}

impl Objects for ObjectStorage {
    fn get(&self, name: &str) -> Result<Option<Bytes>> {
        let (store, path) = (Arc::clone(&self.store), Path::from(name));
        let got = self.wait(async move { store.get(&path).await?.bytes().await });
        match got {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("cannot read an object", name, error)),
        }
    }

    fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        let (store, path) = (Arc::clone(&self.store), Path::from(name));
        let put = self.wait(async move { store.put(&path, bytes.into()).await });
        put.map(|_| ()).map_err(|error| failed("cannot write an object", name, error))
    }

    fn create(&self, name: &str, bytes: Bytes) -> Result<bool> {
        let (store, path) = (Arc::clone(&self.store), Path::from(name));
        let options = PutOptions::from(PutMode::Create);
        let put = self.wait(async move { store.put_opts(&path, bytes.into(), options).await });
        match put {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(failed("cannot create an object", name, error)),
        }
    }

    fn list(&self, under: &str) -> Result<Vec<ObjectInfo>> {
        let (store, path) = (Arc::clone(&self.store), Path::from(under));
        let listed: Result<Vec<_>, _> =
            self.wait(async move { store.list(Some(&path)).try_collect().await });
        let listed = listed.map_err(|error| failed("cannot list objects", under, error))?;
        let mut infos: Vec<_> = listed
            .into_iter()
            .map(|meta| ObjectInfo {
                name: meta.location.to_string(),
                bytes: meta.size,
                written: Timestamp::from_millis(meta.last_modified.timestamp_millis()),
            })
            .collect();
        infos.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(infos)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let (store, path) = (Arc::clone(&self.store), Path::from(name));
        match self.wait(async move { store.delete(&path).await }) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("cannot delete an object", name, error)),
        }
    }
}

fn failed(text: &str, name: &str, error: object_store::Error) -> Error {
    Error::unavailable(text).with("object", name).caused_by(error)
}

#[cfg(feature = "s3")]
use bucket::Runtime;

#[cfg(feature = "s3")]
mod bucket {
    //! Objects in a bucket, on a runtime of its own.

    use super::ObjectStorage;
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
    use object_store::path::Path;
    use object_store::prefix::PrefixStore;
    use std::future::Future;
    use std::sync::Arc;
    use suiro_core::{Error, Result};

    /// The runtime that requests to a bucket run on: one thread, which waits most of the time.
    pub(super) struct Runtime(Option<tokio::runtime::Runtime>);

    impl Runtime {
        fn start() -> Result<Self> {
            let builder = &mut tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.worker_threads(1).enable_all().build().map_err(|error| {
                Error::unavailable("cannot start a runtime for the bucket").caused_by(error)
            })?;
            Ok(Self(Some(runtime)))
        }

        pub(super) fn wait<T: Send + 'static>(
            &self,
            what: impl Future<Output = T> + Send + 'static,
        ) -> T {
            let runtime = self.0.as_ref().expect("a runtime ends when it is dropped");
            let done = pollster::block_on(runtime.spawn(what));
            done.expect("a request is neither aborted nor does it panic")
        }
    }

    impl Drop for Runtime {
        fn drop(&mut self) {
            // A runtime that waits for its end must not be dropped inside another one.
            if let Some(runtime) = self.0.take() {
                runtime.shutdown_background();
            }
        }
    }

    impl ObjectStorage {
        /// Objects in a bucket: `s3://bucket/prefix`. Keys, region and endpoint come from the
        /// environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`,
        /// `AWS_ENDPOINT`, `AWS_ALLOW_HTTP`). The bucket must support conditional writes, as S3
        /// does and most that are compatible with it.
        ///
        /// ```
        /// use suiro_store::ObjectStorage;
        ///
        /// assert!(ObjectStorage::bucket("s3://snapshots/shop").is_ok());
        /// assert!(ObjectStorage::bucket("snapshots").is_err());
        /// ```
        pub fn bucket(url: &str) -> Result<Self> {
            Self::bucket_with(url, [])
        }

        /// As [`ObjectStorage::bucket`], with options that the environment does not have or has
        /// otherwise, by the names of the crate `object_store`.
        ///
        /// ```
        /// use suiro_store::ObjectStorage;
        ///
        /// let options = [("aws_region", "eu-central-1")];
        /// assert!(ObjectStorage::bucket_with("s3://snapshots/shop", options).is_ok());
        /// assert!(ObjectStorage::bucket_with("s3://snapshots", [("colour", "red")]).is_err());
        /// ```
        pub fn bucket_with<'a>(
            url: &str,
            options: impl IntoIterator<Item = (&'a str, &'a str)>,
        ) -> Result<Self> {
            let failed = |cause: object_store::Error| {
                let error =
                    Error::invalid("cannot use a bucket; give it as s3://bucket/prefix");
                error.with("url", url).caused_by(cause)
            };
            let mut builder = AmazonS3Builder::from_env().with_url(url);
            for (name, value) in options {
                let key = name.parse::<AmazonS3ConfigKey>().map_err(failed)?;
                builder = builder.with_config(key, value);
            }
            let store = builder.build().map_err(failed)?;
            let prefix = url.splitn(4, '/').nth(3).unwrap_or_default();
            let store = PrefixStore::new(store, Path::from(prefix));
            Ok(Self { store: Arc::new(store), runtime: Some(Arc::new(Runtime::start()?)) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_an_object_store() {
        let dir = tempfile::tempdir().unwrap();
        let mut number = 0;
        suiro_core::conformance::objects::run(&mut || {
            number += 1;
            let dir = dir.path().join(number.to_string());
            Box::new(ObjectStorage::directory(dir).unwrap())
        });
    }

    #[test]
    fn memory_is_an_object_store() {
        suiro_core::conformance::objects::run(
            &mut || Box::new(crate::MemoryObjects::default()),
        );
    }

    /// What a writer that died has left behind is no object.
    #[test]
    fn a_file_that_was_not_finished_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let objects = ObjectStorage::directory(dir.path()).unwrap();
        objects.put("a/b", "whole".into()).unwrap();
        std::fs::write(dir.path().join("a/c#1"), b"ha").unwrap();
        assert_eq!(objects.list("a").unwrap().len(), 1);
        assert_eq!(objects.get("a/c").unwrap(), None);
    }
}
