//! One connection of a client: its requests one after the other, each with its fault.

use std::{future::pending, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use super::{
    fault::{ProxyFault, Rules},
    message::{body_length, head_length, path, with_body_length},
};

/// More than any head that clients and services of ours send.
const LONGEST_HEAD: usize = 64 * 1024;

/// A client's connection, and one to the service once it is needed.
pub(super) struct Relay {
    client: TcpStream,
    /// Bytes from the client that are not used yet: the start of the next request.
    ahead: Vec<u8>,
    service: Option<TcpStream>,
    address: Arc<str>,
    rules: Arc<Rules>,
    /// The path of a request that the service has not answered yet.
    unanswered: Option<String>,
}

/// Use of the connection after a request.
enum NextStep {
    Next,
    Close,
}

impl Relay {
    pub(super) fn new(client: TcpStream, address: Arc<str>, rules: Arc<Rules>) -> Self {
        Self { client, ahead: Vec::new(), service: None, address, rules, unanswered: None }
    }

    /// Serves requests until the client ends, or a fault ends it.
    pub(super) async fn run(mut self) -> Result<()> {
        while let Some(request) = self.next_request().await? {
            let head = head_length(&request).unwrap_or(request.len());
            let path = path(&String::from_utf8_lossy(&request[..head])).to_owned();
            let fault = self.rules.fault_of(&path);
            self.unanswered = Some(path);
            match self.exchange(&request, fault).await? {
                NextStep::Next => {}
                NextStep::Close => break,
            }
        }
        Ok(())
    }

    /// Reads a request as a whole; `None` where the client has no more.
    async fn next_request(&mut self) -> Result<Option<Vec<u8>>> {
        let mut request = std::mem::take(&mut self.ahead);
        let mut length = None;
        loop {
            if length.is_none()
                && let Some(head) = head_length(&request)
            {
                length = Some(head + body_length(&String::from_utf8_lossy(&request[..head])).unwrap_or(0));
            }
            if let Some(length) = length
                && request.len() >= length
            {
                self.ahead = request.split_off(length);
                return Ok(Some(request));
            }
            if length.is_none() && request.len() > LONGEST_HEAD {
                bail!("read a request: its head has no end");
            }
            if self.client.read_buf(&mut request).await.context("read from the client")? == 0 {
                return Ok(None);
            }
        }
    }

    async fn exchange(&mut self, request: &[u8], fault: ProxyFault) -> Result<NextStep> {
        match fault {
            ProxyFault::Pass => {
                self.forward(request).await?;
                self.pass_answer().await
            }
            ProxyFault::CutRequest(0) => Ok(NextStep::Close),
            ProxyFault::CutRequest(count) => {
                self.forward(&request[..count.min(request.len())]).await?;
                Ok(NextStep::Close)
            }
            ProxyFault::CutAnswer(count) => {
                self.forward(request).await?;
                self.cut_answer(count).await
            }
            ProxyFault::Truncate(count) => {
                self.forward(request).await?;
                self.truncate_answer(count).await
            }
            ProxyFault::DelayRequest(delay) => {
                sleep(delay).await;
                self.forward(request).await?;
                // Not before it answers is the connection to the service closed, if the client is gone.
                self.delay_answer(Duration::ZERO).await
            }
            ProxyFault::DelayAnswer(delay) => {
                self.forward(request).await?;
                self.delay_answer(delay).await
            }
            ProxyFault::Swallow => {
                self.swallow().await?;
                Ok(NextStep::Close)
            }
            ProxyFault::Answer(status) => {
                let answer = format!(
                    "HTTP/1.1 {status} On Purpose\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
                );
                self.client.write_all(answer.as_bytes()).await.context("answer the client")?;
                Ok(NextStep::Next)
            }
        }
    }

    async fn forward(&mut self, bytes: &[u8]) -> Result<()> {
        let service = match &mut self.service {
            Some(service) => service,
            slot => {
                let connected = TcpStream::connect(&*self.address).await;
                slot.insert(connected.with_context(|| format!("connect to {}", self.address))?)
            }
        };
        service.write_all(bytes).await.context("write to the service")
    }

    /// Hands on what the service sends until the client begins its next request.
    async fn pass_answer(&mut self) -> Result<NextStep> {
        let mut bytes = Vec::with_capacity(16 * 1024);
        loop {
            bytes.clear();
            tokio::select! {
                read = read_service(&mut self.service, &mut bytes) => {
                    if read? == 0 {
                        return Ok(NextStep::Close);
                    }
                    self.note_answer();
                    self.client.write_all(&bytes).await.context("write to the client")?;
                }
                read = self.client.read_buf(&mut self.ahead) => {
                    return Ok(if read.context("read from the client")? == 0 { NextStep::Close } else { NextStep::Next });
                }
            }
        }
    }

    async fn read_answer(&mut self, bytes: &mut Vec<u8>) -> Result<usize> {
        let read = read_service(&mut self.service, bytes).await?;
        if read > 0 {
            self.note_answer();
        }
        Ok(read)
    }

    fn note_answer(&mut self) {
        if let Some(path) = self.unanswered.take() {
            self.rules.answered(path);
        }
    }

    async fn cut_answer(&mut self, count: usize) -> Result<NextStep> {
        let mut answer = Vec::new();
        // At least its first byte, which says that the work is done.
        while answer.len() < count.max(1) {
            if self.read_answer(&mut answer).await? == 0 {
                break;
            }
        }
        answer.truncate(count);
        self.client.write_all(&answer).await.context("write to the client")?;
        Ok(NextStep::Close)
    }

    async fn truncate_answer(&mut self, count: usize) -> Result<NextStep> {
        let mut answer = Vec::new();
        let head = loop {
            if let Some(head) = head_length(&answer) {
                break head;
            }
            if self.read_answer(&mut answer).await? == 0 {
                bail!("read an answer: it ended in its head");
            }
        };
        let body = answer.split_off(head);
        let head = String::from_utf8_lossy(&answer).into_owned();
        let length = body_length(&head).context("truncate an answer: it does not say how long it is")?;
        let count = count.min(length);
        let mut body = body;
        while body.len() < length {
            if self.read_answer(&mut body).await? == 0 {
                bail!("read an answer: it ended in its body");
            }
        }
        let shortened = [with_body_length(&head, count).as_bytes(), &body[..count]].concat();
        self.client.write_all(&shortened).await.context("write to the client")?;
        Ok(NextStep::Next)
    }

    async fn delay_answer(&mut self, delay: Duration) -> Result<NextStep> {
        let mut answer = Vec::new();
        if self.read_answer(&mut answer).await? == 0 {
            return Ok(NextStep::Close);
        }
        sleep(delay).await;
        self.client.write_all(&answer).await.context("write to the client")?;
        self.pass_answer().await
    }

    /// Reads and forgets, until the client gives up.
    async fn swallow(&mut self) -> Result<()> {
        let mut bytes = Vec::new();
        while self.client.read_buf(&mut bytes).await.context("read from the client")? > 0 {
            bytes.clear();
        }
        Ok(())
    }
}

/// Reads what is there; without a service there is never anything.
async fn read_service(service: &mut Option<TcpStream>, bytes: &mut Vec<u8>) -> Result<usize> {
    match service {
        Some(service) => service.read_buf(bytes).await.context("read from the service"),
        None => pending().await,
    }
}
