//! Steps of a re-index, each an invocation of the real function. All but the copy of tombstones share one process.

use anyhow::{Context, Result};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::work::LongWork;
use crate::function::{FunctionConfig, FunctionProcess, Invoke as _};

/// A re-index that is taken from step to step.
pub struct ReindexSteps {
    function: FunctionConfig,
    process: FunctionProcess,
    entity_index: Option<String>,
}

impl ReindexSteps {
    /// Prepares the steps of one index: of `INDEX`, or of the one that an entity has of its own. The function starts
    /// with the first step.
    #[must_use]
    pub fn new(function: FunctionConfig, entity_index: Option<&str>) -> Self {
        Self {
            process: FunctionProcess::new(function.clone()),
            function,
            entity_index: entity_index.map(str::to_owned),
        }
    }

    fn of_index(&self, mut request: Value) -> Value {
        if let Some(index) = &self.entity_index {
            request["entity_index"] = index.as_str().into();
        }
        request
    }

    /// Takes the step that `request` names, and returns the function's answer.
    ///
    /// # Errors
    /// Fails if the function does.
    pub async fn take<A: DeserializeOwned>(&mut self, request: &Value) -> Result<A> {
        let payload = self.of_index(request.clone()).to_string();
        let invocation = self.process.invoke(Bytes::from(payload), None).await?;
        let step = request["step"].as_str().unwrap_or_default();
        invocation.outcome.answer(&self.function.name).with_context(|| format!("take the step {step}"))
    }

    /// Copies all tombstones into the new index, and returns their number.
    ///
    /// # Errors
    /// As [`LongWork::run`].
    pub async fn copy_tombstones(&self) -> Result<u64> {
        let work = LongWork::new(self.function.clone(), self.of_index(json!({"step": "tombstones"})));
        let mut state = work.begin();
        work.run(&mut state, |_| ()).await.context("copy the tombstones")?;
        Ok(state.counts().whole("copied"))
    }

    /// Ends the process of the steps.
    pub async fn end(mut self) {
        self.process.end().await;
    }
}
