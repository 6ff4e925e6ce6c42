//! Settings of the AWS clients that functions build: the environment's, and a time-out for each attempt.
//!
//! Loading the settings may look for a region or a profile. So it belongs under the deadline of the call that needs the
//! client.

#[cfg(any(feature = "s3", feature = "sqs", feature = "stream", feature = "table"))]
mod lazy_client;

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
#[cfg(any(feature = "s3", feature = "sqs", feature = "stream", feature = "table"))]
pub(crate) use lazy_client::{CallError, LazyClient};

/// Time-out of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time-out of one attempt, its connection included. The SDK sets none, and makes three attempts.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(6);

/// Returns the environment's settings with a time-out for each attempt.
pub(crate) fn settings() -> ConfigLoader {
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts)
}

#[cfg(test)]
pub(crate) mod silence {
    //! Endpoints and sources of settings that never answer.

    use aws_config::meta::region::{ProvideRegion, future};
    use aws_config::{ConfigLoader, Region, SdkConfig};
    use aws_credential_types::Credentials;
    use tokio::net::TcpListener;

    #[derive(Debug)]
    struct SilentRegion;

    impl ProvideRegion for SilentRegion {
        fn region(&self) -> future::ProvideRegion<'_> {
            future::ProvideRegion::new(std::future::pending())
        }
    }

    /// Returns settings that never finish loading.
    pub(crate) fn settings() -> ConfigLoader {
        super::settings().region(SilentRegion)
    }

    /// Opens an endpoint that accepts connections and never answers, for as long as the listener lives.
    pub(crate) async fn endpoint() -> (TcpListener, SdkConfig) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let settings = super::settings().region(Region::from_static("eu-central-1")).endpoint_url(endpoint);
        let credentials = Credentials::new("local", "local", None, None, "test");
        (listener, settings.credentials_provider(credentials).load().await)
    }
}
