//! How nodes under test reach the services.

use crate::services::{self, Database, KAFKA_USER, Private};

/// What a node's configuration says of it.
#[derive(Debug)]
pub struct Links {
    /// A core's lines in `[core]`.
    pub core: String,
    /// Every node's in `[cluster]`.
    pub cluster: String,
    // Ended with the nodes.
    _database: Database,
    _s3: Option<Private>,
}

impl Links {
    /// In clear, with a database of this name.
    ///
    /// # Errors
    /// A service is not there.
    pub fn in_clear(name: &str) -> anyhow::Result<Self> {
        let database = Database::create(name)?;
        let [kafka, redis, etcd] = ["kafka", "redis", "etcd"].map(services::address);
        Ok(Self {
            core: format!("store = \"{}\"\nkafka = [\"{}\"]\nredis = \"redis://{}\"\n", database.url(), kafka?, redis?),
            cluster: format!("etcd = [\"http://{}\"]\n", etcd?),
            _database: database,
            _s3: None,
        })
    }

    /// Over TLS, with what services ask of their users then, and an S3 store of its own for blobs.
    ///
    /// # Errors
    /// A service is not there.
    pub fn over_tls(name: &str) -> anyhow::Result<Self> {
        let database = Database::create(name)?;
        let [kafka, redis, etcd] = ["kafka", "redis", "etcd"].map(services::tls_address);
        let (certificate, authority) = services::certificate()?;
        let file = certificate.display().to_string();
        let s3 = Private::start("s3", &["--cert", &file, "--key", &file])?;
        let (ca, (user, password)) = (authority.display(), KAFKA_USER);
        Ok(Self {
            core: format!(
                "store = \"{}\"\nkafka = [\"{}\"]\nredis = \"rediss://{}\"\nredis_ca = \"{ca}\"\n\
                 blobs = \"s3://gogochat\"\ns3_endpoint = \"https://{}\"\ns3_ca = \"{ca}\"\ns3_access_key = \"test\"\n\
                 s3_secret_key = \"testsecret\"\n\
                 kafka_properties = {{ \"security.protocol\" = \"sasl_ssl\", \"ssl.ca.location\" = \"{ca}\", \
                 \"sasl.mechanism\" = \"SCRAM-SHA-512\", \"sasl.username\" = \"{user}\", \"sasl.password\" = \"{password}\" }}\n",
                database.url_over_tls(&authority)?,
                kafka?,
                redis?,
                s3.address()
            ),
            cluster: format!("etcd = [\"https://{}\"]\netcd_ca = \"{ca}\"\n", etcd?),
            _database: database,
            _s3: Some(s3),
        })
    }
}
