//! The baseline in the place of a function: the lane itself sends each event as an unguarded bulk request.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use driftless_harness::function::{Invocation, InvocationOutcome, Invoke, Launch, ProcessFault};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::baseline::BaselineClient;
use crate::changes;

/// Launches lanes that write to `index`.
pub(crate) struct BaselineFunction {
    pub(crate) endpoint: String,
    pub(crate) index: String,
}

struct BaselineLane(BaselineClient);

#[async_trait]
impl Launch for BaselineFunction {
    fn function_arn(&self) -> &'static str {
        "arn:aws:lambda:us-east-1:000000000000:function:baseline"
    }

    async fn launch(&self) -> Result<Box<dyn Invoke>> {
        Ok(Box::new(BaselineLane(BaselineClient::connect(&self.endpoint, &self.index).await?)))
    }
}

impl BaselineFunction {
    /// Returns it as an event source mapping takes it.
    pub(crate) fn shared(endpoint: &str, index: &str) -> Arc<dyn Launch> {
        Arc::new(Self { endpoint: endpoint.to_owned(), index: index.to_owned() })
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "Records")]
    records: Vec<&'a RawValue>,
}

#[async_trait]
impl Invoke for BaselineLane {
    async fn warm_up(&mut self) -> Result<()> {
        Ok(())
    }

    async fn invoke(&mut self, payload: Bytes, _: Option<ProcessFault>) -> Result<Invocation> {
        let start = Instant::now();
        let event: Event<'_> = serde_json::from_slice(&payload)?;
        let mut operations = Vec::with_capacity(1_024 * event.records.len());
        for record in event.records {
            changes::baseline_operation(record.get(), &mut operations)?;
        }
        self.0.bulk(operations).await?;
        let outcome = InvocationOutcome::Response(Bytes::from_static(br#"{"batchItemFailures":[]}"#));
        Ok(Invocation { request_id: String::new(), outcome, duration: start.elapsed() })
    }

    async fn kill(&mut self) {}
}
