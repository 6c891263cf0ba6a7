//! Control over HTTP, so that shell scripts can script faults and read counters:
//! `POST /__control/fault {"target","fault","times"}`, `POST /__control/cap {"bytes_per_second"}`,
//! `POST /__control/expire`, `POST /__control/reset`, `GET /__control/requests`, `GET /__control/files`.

use crate::faults::{Fault, Times};
use crate::observe::lock;
use crate::shared::Shared;
use crate::wire::{Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct FaultOrder {
    target: String,
    fault: Fault,
    #[serde(default = "once")]
    times: Times,
}

#[derive(Deserialize)]
struct CapOrder {
    bytes_per_second: Option<u64>,
}

fn once() -> Times {
    Times::Once
}

pub(crate) fn route(shared: &Shared, request: &Request, rest: &[&str]) -> Response {
    match (request.method.as_str(), rest) {
        ("POST", ["fault"]) => ordered::<FaultOrder>(request, |order| {
            lock(&shared.script).add(&order.target, order.fault, order.times);
        }),
        ("POST", ["cap"]) => ordered::<CapOrder>(request, |order| shared.set_cap(order.bytes_per_second)),
        ("POST", ["expire"]) => {
            shared.signatures.expire_all();
            done()
        }
        ("POST", ["reset"]) => {
            lock(&shared.script).clear();
            shared.set_cap(None);
            shared.recorder.reset();
            done()
        }
        ("GET", ["requests"]) => Response::json(200, &requests(shared)),
        ("GET", ["files"]) => Response::json(200, &files(shared)),
        _ => Response::json(404, &json!({"error": "no such control"})),
    }
}

fn ordered<T: for<'de> Deserialize<'de>>(request: &Request, act: impl FnOnce(T)) -> Response {
    match serde_json::from_slice(&request.body) {
        Ok(order) => {
            act(order);
            done()
        }
        Err(error) => Response::json(400, &json!({"error": error.to_string()})),
    }
}

fn done() -> Response {
    Response::json(200, &json!({"ok": true}))
}

fn requests(shared: &Shared) -> Value {
    let mut seen = shared.recorder.requests();
    seen.retain(|seen| !seen.path.starts_with("/__control"));
    json!(seen)
}

fn files(shared: &Shared) -> Value {
    let entry = |file: crate::FileSpec| {
        json!({
            "name": file.name(),
            "size": file.size(),
            "sha256": file.sha256(),
            "bytes_served": shared.recorder.bytes_served(file.name()),
            "max_parallel": shared.recorder.most_parallel(file.name()),
        })
    };
    shared.world().all_files().into_iter().map(entry).collect()
}
