//! The comparison from the index's side: each listed document is looked up in the table.

use driftless::document_id::DocumentId;
use driftless::function::{FunctionError, retry};
use driftless::table::reader::Pace;
use driftless::table::selection::Cursor;
use driftless::table::{Consistency, Key, Table};
use driftless::target::{Documents, Listed, StoredBody};
use tokio::time::Instant;

use super::{LOOKED_AT, Verify, is_hashed, is_sampled};
use crate::run::VerifyRun;

/// Number of items that are looked up together.
const LOOKED_UP: usize = 400;

impl<T: Documents, B: Table> Verify<'_, T, B> {
    /// Looks up the documents of the index in the table.
    pub(super) async fn compare_documents(&self, run: &mut VerifyRun<'_>) -> Result<(), FunctionError> {
        let mut pace = Pace::new(run.request.items.rcu_per_second);
        while !run.report.done && run.may_begin() {
            if !pace.wait_before(run.stop()).await {
                return Ok(());
            }
            let begun = Instant::now();
            let from = match run.report.cursor {
                Some(Cursor::SeqNo(from)) => from,
                _ => 0,
            };
            let deadline = run.deadline;
            let list = async || self.writer.target().list(Listed::Live, from, deadline).await;
            let page = retry(deadline, list).await?;
            let ids: Vec<DocumentId> = page.found.into_iter().map(|found| found.id).collect();
            let before = run.report.counts.rcu;
            self.look_at_documents(ids, run).await?;
            run.note_step(begun);
            pace.spend(run.report.counts.rcu - before);
            run.report.done = page.next.is_none();
            run.report.cursor = page.next.map(Cursor::SeqNo);
            self.settle_due(run).await?;
        }
        Ok(())
    }

    /// Looks up one page of documents. Those without an item are read as a whole.
    async fn look_at_documents(&self, ids: Vec<DocumentId>, run: &mut VerifyRun<'_>) -> Result<(), FunctionError> {
        run.report.counts.read += ids.len() as u64;
        let ids: Vec<DocumentId> = ids.into_iter().filter(|_| is_sampled(run.request.sample)).collect();
        run.report.counts.documents += ids.len() as u64;
        let keys = self.keys(&ids, run.deadline).await?;
        let mut suspicious: Vec<(DocumentId, Option<Key>)> = Vec::new();
        let mut sought: Vec<(DocumentId, Key)> = Vec::with_capacity(ids.len());
        for (id, key) in ids.into_iter().zip(keys) {
            match key {
                // The id of the key says more than that of the listing.
                Some(key) => sought.push((self.read_options.document_id(key.attributes()).unwrap_or(id), key)),
                None => suspicious.push((id, None)),
            }
        }
        for part in sought.chunks(LOOKED_UP) {
            let wanted: Vec<Key> = part.iter().map(|(_, key)| key.clone()).collect();
            let found = self.get(&wanted, Consistency::Eventual, run.deadline).await?;
            run.report.counts.rcu += found.capacity;
            for ((id, key), item) in part.iter().zip(found.items) {
                match self.expected(id, item.as_ref()) {
                    Ok(Some(_)) => run.report.counts.items += 1,
                    Ok(None) => suspicious.push((id.clone(), Some(key.clone()))),
                    Err(error) => run.report.note_unshaped(1, &error),
                }
            }
        }
        for part in suspicious.chunks(LOOKED_AT) {
            let looks = self.look(part, run).await?;
            for ((id, key), look) in part.iter().zip(looks) {
                if let Some((look, _)) = look {
                    run.suspect(id.clone(), key.clone(), look);
                }
            }
        }
        Ok(())
    }

    /// Returns the keys of documents, from their ids or, of hashed ids, from their fields. `None` if no item can have
    /// the document.
    async fn keys(&self, ids: &[DocumentId], deadline: Instant) -> Result<Vec<Option<Key>>, FunctionError> {
        let of_id = |id: &DocumentId| self.read_options.key(id, self.schema);
        let mut keys: Vec<Option<Key>> = ids.iter().map(of_id).collect();
        let hashed: Vec<usize> = (0..ids.len()).filter(|&at| keys[at].is_none() && is_hashed(&ids[at])).collect();
        let whole: Vec<&DocumentId> = hashed.iter().map(|&at| &ids[at]).collect();
        for (places, whole) in hashed.chunks(LOOKED_AT).zip(whole.chunks(LOOKED_AT)) {
            for (&at, stored) in places.iter().zip(self.read_documents(whole, deadline).await?) {
                let body = stored.map(|stored| stored.body);
                let Some(StoredBody::Document(json) | StoredBody::Foreign(json)) = body else { continue };
                let key = Key::from_document(&json, self.schema);
                keys[at] = key.filter(|key| self.read_options.has_id(key, &ids[at]));
            }
        }
        Ok(keys)
    }
}
