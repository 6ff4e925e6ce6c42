//! Faults of requests, and the rules that choose the requests.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Fault of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxyFault {
    /// None: the request passes.
    #[default]
    Pass,
    /// So many bytes of the request reach the service, then both connections are closed. With 0 it sees nothing of it.
    CutRequest(usize),
    /// The service answers, so its work is done; so many bytes of the answer reach the client, then both connections
    /// are closed.
    CutAnswer(usize),
    /// The answer arrives as a well-formed one whose body has only so many bytes, as from a proxy that cuts too large
    /// ones.
    Truncate(usize),
    /// The request reaches the service this much later, also when the client has given up.
    DelayRequest(Duration),
    /// The service does its work immediately; its answer reaches the client this much later.
    DelayAnswer(Duration),
    /// The request is swallowed and never answered; the connection stays open.
    Swallow,
    /// The service sees nothing; the client gets this status with an empty JSON object.
    Answer(u16),
}

/// Faults for requests to come, and the paths that were seen.
#[derive(Debug, Default)]
pub(super) struct Rules(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// A text that paths are looked up by, and the fault of all that contain it.
    every: (String, ProxyFault),
    /// The same for single requests; the first that fits is used up.
    next: Vec<(String, VecDeque<ProxyFault>)>,
    /// Of all requests, and of those that the service answered.
    paths: Vec<String>,
    answered: Vec<String>,
}

impl Rules {
    pub(super) fn every(&self, part: &str, fault: ProxyFault) {
        let mut state = self.state();
        state.every = (part.to_owned(), fault);
        state.next.clear();
    }

    pub(super) fn next(&self, part: &str, faults: VecDeque<ProxyFault>) {
        self.state().next.push((part.to_owned(), faults));
    }

    pub(super) fn requests(&self, part: &str) -> usize {
        count(&self.state().paths, part)
    }

    pub(super) fn answers(&self, part: &str) -> usize {
        count(&self.state().answered, part)
    }

    /// The service has begun to answer a request.
    pub(super) fn answered(&self, path: String) {
        self.state().answered.push(path);
    }

    /// The fault of a request that has just begun; counts it.
    pub(super) fn fault_of(&self, path: &str) -> ProxyFault {
        let mut state = self.state();
        state.paths.push(path.to_owned());
        let single = state.next.iter_mut().filter(|(part, _)| path.contains(part.as_str()));
        if let Some(fault) = single.filter_map(|(_, faults)| faults.pop_front()).next() {
            return fault;
        }
        let (part, fault) = &state.every;
        if path.contains(part.as_str()) { fault.clone() } else { ProxyFault::Pass }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(paths: &[String], part: &str) -> usize {
    paths.iter().filter(|path| path.contains(part)).count()
}
