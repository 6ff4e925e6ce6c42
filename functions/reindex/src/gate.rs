//! Proofs that a new index must have before readers are led to it. Pure.

use driftless::opensearch::{ReindexRecord, SourceProof};

/// Checks what is proved of the new index, of each table that shares it. The error names what is missing.
pub(crate) fn gate(record: &ReindexRecord, sources: &[String]) -> Result<(), String> {
    let missing = match sources {
        [] => missing_proof(&record.proof(None)),
        names => names.iter().find_map(|name| {
            let missing = missing_proof(&record.proof(Some(name)))?;
            Some(format!("the table `{name}` (its own functions do its part): {missing}"))
        }),
    };
    let missing = match (missing, &record.shadow) {
        (Some(missing), _) => missing,
        (None, None) => "no search was compared: run the step shadow with your own searches".to_owned(),
        (None, Some(shadow)) if shadow.different > 0 => {
            format!("{} of {} searches answer otherwise: see the step shadow", shadow.different, shadow.searches)
        }
        (None, Some(_)) => return Ok(()),
    };
    Err(format!("{missing}; force switches without it"))
}

fn missing_proof(proof: &SourceProof) -> Option<String> {
    match proof {
        SourceProof { tombstones_copied_at: None, .. } => {
            Some("the tombstones are not copied: run the step tombstones until it is done".to_owned())
        }
        SourceProof { verified: None, .. } => Some(
            "the new index is not verified: verify it as a whole (index other), then run the step verified".to_owned(),
        ),
        SourceProof { verified: Some(verified), .. } if verified.differences > 0 => Some(format!(
            "verify found {} differences in {} items: repair them, and verify again",
            verified.differences, verified.items
        )),
        SourceProof { .. } => None,
    }
}
