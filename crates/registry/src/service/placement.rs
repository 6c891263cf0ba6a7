//! Moving a job within the queue.

use super::{JobState, Placement, Registry};
use crate::domain::{Download, DownloadId, DownloadState};
use crate::error::{Error, Result, Thing};
use crate::store::STEP;

impl Registry {
    /// Moves a job within the queue.
    pub async fn move_download(&self, id: DownloadId, to: Placement) -> Result<JobState> {
        let registry = self.clone();
        self.uninterrupted(async move { registry.place(id, to).await }).await
    }

    async fn place(&self, id: DownloadId, to: Placement) -> Result<JobState> {
        let _turn = self.inner.jobs.turn.lock().await;
        let priority = self.target_priority(id, to).await?;
        let mut others = self.inner.store.waiting_positions(priority).await?;
        others.retain(|(other, _)| *other != id);
        let at = index_of(&others, to)?;
        let position = match between(&others, at) {
            Some(position) => position,
            None => self.make_place(&mut others, at).await?,
        };
        let job = self
            .change(id, |download| {
                require_waiting(download)?;
                (download.priority, download.position) = (priority, position);
                Ok(())
            })
            .await?;
        self.inner.jobs.wake.notify_one();
        Ok(JobState::clone(&job))
    }

    /// The priority that the job will have; both jobs must wait.
    async fn target_priority(&self, id: DownloadId, to: Placement) -> Result<i64> {
        let own = self.waiting(id).await?;
        match to {
            Placement::Top | Placement::Bottom => Ok(own.priority),
            Placement::Priority(priority) => Ok(priority),
            Placement::Before(other) | Placement::After(other) if other == id => {
                Err(Error::invalid("same_download", "before", "a download cannot be moved beside itself"))
            }
            Placement::Before(other) | Placement::After(other) => Ok(self.waiting(other).await?.priority),
        }
    }

    async fn waiting(&self, id: DownloadId) -> Result<Download> {
        let stored = self.inner.store.load_download(id).await?;
        let download = stored.ok_or_else(|| Error::not_found(Thing::Download, id.to_string()))?.download;
        require_waiting(&download)?;
        Ok(download)
    }

    /// Spreads the others out and answers the position that is free at `at` then.
    async fn make_place(&self, others: &mut [(DownloadId, i64)], at: usize) -> Result<i64> {
        for (index, (_, position)) in others.iter_mut().enumerate() {
            *position = (index as i64 + 1 + i64::from(index >= at)) * STEP;
        }
        self.inner.store.save_positions(others).await?;
        for (id, _) in others.iter() {
            if let Some(stored) = self.inner.store.load_download(*id).await? {
                self.inner.jobs.put(stored.download);
            }
        }
        Ok((at as i64 + 1) * STEP)
    }
}

/// Before which of the others it goes.
fn index_of(others: &[(DownloadId, i64)], to: Placement) -> Result<usize> {
    let place = |wanted: DownloadId| {
        let found = others.iter().position(|(id, _)| *id == wanted);
        found.ok_or_else(|| Error::not_found(Thing::Download, wanted.to_string()))
    };
    match to {
        Placement::Top => Ok(0),
        Placement::Bottom | Placement::Priority(_) => Ok(others.len()),
        Placement::Before(other) => place(other),
        Placement::After(other) => place(other).map(|index| index + 1),
    }
}

/// A position between two neighbours, when there is one.
fn between(others: &[(DownloadId, i64)], at: usize) -> Option<i64> {
    let before = at.checked_sub(1).and_then(|index| others.get(index)).map(|(_, position)| *position);
    let after = others.get(at).map(|(_, position)| *position);
    match (before, after) {
        (None, None) => Some(STEP),
        (Some(before), None) => before.checked_add(STEP),
        (None, Some(after)) => after.checked_sub(STEP),
        (Some(before), Some(after)) => {
            let middle = before + (after - before) / 2;
            (middle > before && middle < after).then_some(middle)
        }
    }
}

fn require_waiting(download: &Download) -> Result<()> {
    if matches!(download.state, DownloadState::Queued | DownloadState::Paused) {
        return Ok(());
    }
    let message = format!(
        "the download of `{}` is `{}`; only one that waits in the queue can be moved",
        download.path,
        download.state.as_str()
    );
    Err(Error::conflict("wrong_state", message))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn queue(positions: &[i64]) -> Vec<(DownloadId, i64)> {
        let now: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        positions.iter().map(|position| (DownloadId::new(now), *position)).collect()
    }

    #[test]
    fn a_position_lies_between_its_neighbours_or_there_is_none() {
        let others = queue(&[10, 20, 21]);
        assert_eq!(between(&others, 0), Some(10 - STEP));
        assert_eq!(between(&others, 1), Some(15));
        assert_eq!(between(&others, 2), None);
        assert_eq!(between(&others, 3), Some(21 + STEP));
        assert_eq!(between(&[], 0), Some(STEP));
    }

    #[test]
    fn a_place_is_found_by_its_neighbour() {
        let others = queue(&[1, 2, 3]);
        assert_eq!(index_of(&others, Placement::Before(others[1].0)).unwrap(), 1);
        assert_eq!(index_of(&others, Placement::After(others[1].0)).unwrap(), 2);
        assert_eq!(index_of(&others, Placement::Bottom).unwrap(), 3);
        assert!(index_of(&others[..1], Placement::Before(others[2].0)).is_err());
    }
}
