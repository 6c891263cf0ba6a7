//! Many faults at once, drawn by seed: the right file, or none and a reason.

use lorakeep_standin::{Allowance, Fault, RetryAfter, Times};
use lorakeep_transfer::TransferError;

use crate::support::{KIB, MIB, Rig};

/// Faults that pass, so that the transfer has to succeed.
fn passing_fault(chance: &mut fastrand::Rng, size: u64) -> Fault {
    let at = chance.u64(0..size);
    match chance.u8(0..11) {
        0 => Fault::CloseAfter(at / 4),
        1 => Fault::ShortBody(at / 4),
        2 => Fault::status(503),
        3 => Fault::status_retry(429, RetryAfter::Seconds(0)),
        4 => Fault::ResetOnConnect,
        5 => Fault::LatencyMs(chance.u64(0..20)),
        6 => Fault::ExpireSignedUrlAfter(Allowance::Bytes(at)),
        7 => Fault::NoContentLength,
        8 => Fault::StallAfter(at / 4),
        9 => Fault::IgnoreRange,
        _ => Fault::Together(vec![Fault::LatencyMs(5), Fault::ShortBody(at / 8)]),
    }
}

fn any_fault(chance: &mut fastrand::Rng, size: u64) -> Fault {
    match chance.u8(0..10) {
        0 => Fault::WrongContentRange,
        1 => Fault::WrongContentLength(chance.i64(-2000..2000)),
        2 => Fault::ChangeETagAfter(chance.u64(0..8)),
        3 => Fault::CorruptByteAt(chance.u64(0..size)),
        4 => Fault::GzipEncoding,
        5 => Fault::status(416),
        _ => passing_fault(chance, size),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_passes_is_survived_and_the_file_is_right() {
    for seed in 0..12 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let size = chance.u64(300 * KIB..6 * MIB);
        let rig = Rig::with(|options| {
            options.connections_per_file = chance.usize(1..6);
            options.min_speed.window = std::time::Duration::from_millis(150);
            options.timeouts.response = std::time::Duration::from_millis(400);
            options.retry.max_attempts = 30;
        })
        .await;
        let (spec, request) = rig.hub(size);
        let script: Vec<_> = (0..8).map(|_| passing_fault(&mut chance, size)).collect();
        for fault in &script {
            rig.standin.fault("hub.safetensors", fault.clone(), Times::N(chance.u32(1..3)));
        }
        let fetched =
            rig.fetch(request).await.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{script:?}"));
        assert!(fetched.verified);
        rig.assert_published(&spec);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_a_wrong_file_is_never_published_and_the_next_try_succeeds() {
    for seed in 100..125 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let size = chance.u64(300 * KIB..4 * MIB);
        let rig = Rig::with(|options| {
            options.min_speed.window = std::time::Duration::from_millis(100);
            options.timeouts.response = std::time::Duration::from_millis(400);
        })
        .await;
        let (spec, request) = rig.hub(size);
        let script: Vec<_> = (0..4).map(|_| any_fault(&mut chance, size)).collect();
        for fault in &script {
            let times = if chance.bool() { Times::Always } else { Times::N(chance.u32(1..4)) };
            rig.standin.fault("hub.safetensors", fault.clone(), times);
        }
        match rig.fetch(request).await {
            Ok(_) => rig.assert_published(&spec),
            Err(TransferError::Internal(reason)) => panic!("seed {seed}: {reason}\n{script:?}"),
            Err(_) => {
                rig.assert_absent();
                rig.standin.clear_faults();
                let (_, request) = rig.hub(size);
                rig.fetch(request).await.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{script:?}"));
                rig.assert_published(&spec);
            }
        }
    }
}
