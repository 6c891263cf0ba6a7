//! A ComfyUI (0.3.64): the routes that a client needs to run prompts, in the shapes that were recorded of it.

mod nodes;
mod queue;
mod render;
mod upload;
mod validate;

pub use queue::GenerationFault;
pub(crate) use queue::Generations;

use crate::observe::lock;
use crate::shared::Shared;
use crate::wire::{Answer, Request, Response};
use serde_json::{Map, Value, json};

/// Routes; each also exists below `/api`.
pub(crate) fn route(shared: &Shared, request: &Request) -> Answer {
    if is_foreign(request) {
        return Response::new(403).into();
    }
    let segments = request.segments();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let parts = parts.strip_prefix(&["api"]).unwrap_or(&parts);
    let files = &shared.world().generator;
    lock(&shared.generations).advance(files, shared.options.generation_time);
    let response = match (request.method.as_str(), parts) {
        ("GET", ["system_stats"]) => Response::json(200, &system_stats()),
        ("GET", ["features"]) => {
            let features = json!({"supports_preview_metadata": true, "max_upload_size": 104_857_600});
            Response::json(200, &features)
        }
        ("GET", ["models"]) => Response::json(200, &json!(files.folders.keys().collect::<Vec<_>>())),
        ("GET", ["models", folder]) => match files.folders.get(*folder) {
            Some(names) => Response::json(200, &json!(names)),
            None => Response::new(404),
        },
        ("GET", ["object_info"]) => Response::json(200, &nodes::object_info(files, None)),
        ("GET", ["object_info", class]) => Response::json(200, &nodes::object_info(files, Some(class))),
        _ => queue_route(shared, request, parts),
    };
    response.into()
}

fn queue_route(shared: &Shared, request: &Request, parts: &[&str]) -> Response {
    let mut generations = lock(&shared.generations);
    match (request.method.as_str(), parts) {
        ("GET", ["prompt"]) => {
            let remaining = generations.remaining();
            Response::json(200, &json!({"exec_info": {"queue_remaining": remaining}}))
        }
        ("POST", ["prompt"]) => prompt(shared, &mut generations, request),
        ("GET", ["history"]) => Response::json(200, &generations.history(None)),
        ("GET", ["history", id]) => Response::json(200, &generations.history(Some(id))),
        ("POST", ["history"]) => ordered(request, |clear, ids| {
            if clear || ids.is_some() {
                generations.forget(ids);
            }
        }),
        ("GET", ["queue"]) => Response::json(200, &generations.listed()),
        ("POST", ["queue"]) => ordered(request, |clear, ids| {
            if clear || ids.is_some() {
                generations.delete(ids);
            }
        }),
        ("POST", ["interrupt"]) => {
            let order: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            generations.interrupt(order["prompt_id"].as_str());
            Response::new(200)
        }
        ("POST", ["free"]) => {
            generations.forget_cache();
            Response::new(200)
        }
        ("GET", ["view"]) => view(&generations, request),
        ("POST", ["upload", "image"]) => upload::image(&mut generations, request),
        _ => Response::text(404, "404: Not Found"),
    }
}

/// A browser's page of another origin is refused.
fn is_foreign(request: &Request) -> bool {
    let host = request.header("host").unwrap_or_default();
    request.header("origin").is_some_and(|origin| !origin.ends_with(&format!("//{host}")))
}

fn prompt(shared: &Shared, generations: &mut Generations, request: &Request) -> Response {
    let Ok(order) = serde_json::from_slice::<Map<String, Value>>(&request.body) else {
        return Response::text(500, "500 Internal Server Error\n\nServer got itself in trouble");
    };
    let Some(graph) = order.get("prompt").and_then(Value::as_object) else {
        let text = "No prompt provided";
        return Response::json(400, &validate::refusal("no_prompt", text, text, &json!({})));
    };
    let accepted = match validate::judge(&shared.world().generator, graph) {
        Ok(accepted) => accepted,
        Err(refusal) => return Response::json(400, &refusal),
    };
    let number = generations.accepted();
    let given = order.get("prompt_id").and_then(Value::as_str).map(str::to_owned);
    let id = given.unwrap_or_else(|| format!("00000000-0000-4000-8000-{number:012x}"));
    let extra = order.get("client_id").map_or(json!({}), |client| json!({"client_id": client}));
    generations.add(&id, graph.clone(), extra, accepted.outputs);
    let body = json!({"prompt_id": id, "number": number, "node_errors": accepted.node_errors});
    Response::json(200, &body)
}

/// `{"clear": true}` or `{"delete": [ids]}`.
fn ordered(request: &Request, act: impl FnOnce(bool, Option<&[String]>)) -> Response {
    let order: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let ids: Option<Vec<String>> = serde_json::from_value(order["delete"].clone()).ok();
    act(order["clear"] == true, ids.as_deref());
    Response::new(200)
}

fn view(generations: &Generations, request: &Request) -> Response {
    let text = |name| request.param(name).unwrap_or_default();
    let (name, subfolder) = (text("filename"), text("subfolder"));
    if name.contains("..") || name.starts_with('/') || subfolder.contains("..") {
        return Response::new(400);
    }
    let kind = request.param("type").unwrap_or_else(|| "output".to_owned());
    match generations.file(&format!("{kind}/{subfolder}/{name}")) {
        Some(content) => Response::new(200)
            .with("content-type", "image/png")
            .with("content-disposition", format!("filename=\"{name}\""))
            .body(content),
        None => Response::new(404),
    }
}

fn system_stats() -> Value {
    json!({
        "system": {
            "os": "posix",
            "ram_total": 25_276_514_304_u64,
            "ram_free": 23_418_556_416_u64,
            "comfyui_version": "0.3.64",
            "required_frontend_version": "1.27.10",
            "installed_templates_version": null,
            "required_templates_version": "0.1.95",
            "python_version": "3.11.7 (main, May  9 2026, 07:35:25) [GCC 12.2.0]",
            "pytorch_version": "2.15.0+cu132",
            "embedded_python": false,
            "argv": ["main.py", "--listen", "127.0.0.1"],
        },
        "devices": [{
            "name": "cpu",
            "type": "cpu",
            "index": null,
            "vram_total": 25_276_514_304_u64,
            "vram_free": 23_418_556_416_u64,
            "torch_vram_total": 25_276_514_304_u64,
            "torch_vram_free": 23_418_556_416_u64,
        }],
    })
}
