//! `GET /api/download/models/{versionId}`: refusals in the site's order, then 307 to the storage.

use super::model::{CivitFile, CivitModel, CivitVersion};
use super::signed_in;
use crate::shared::Shared;
use crate::storage::{Delivery, escaped};
use crate::wire::{Request, Response};
use serde_json::json;
use std::time::Duration;

const R2_LIFETIME: Duration = Duration::from_hours(24);

pub(super) fn route(shared: &Shared, request: &Request, version: &str) -> Response {
    if request.method == "HEAD" {
        // The edge refuses it whatever the token.
        return Response::json(401, &json!({"error": "Unauthorized"}));
    }
    if request.method != "GET" {
        return super::error(405, "Method not allowed");
    }
    let response = decided(shared, request, version).unwrap_or_else(|refusal| refusal);
    response.with("cache-control", "no-store, max-age=0")
}

fn decided(shared: &Shared, request: &Request, version: &str) -> Result<Response, Response> {
    let browser = is_browser(request);
    let id: u64 = version.parse().map_err(|_| refusal(browser, 400, "Invalid modelVersionId"))?;
    let world = shared.world();
    let found = world.models.iter().find_map(|model| {
        model.versions.iter().find(|version| version.id == id).map(|version| (model, version))
    });
    let (model, version) = found.ok_or_else(|| refusal(browser, 404, "File not found"))?;
    permitted(shared, request, model, version)?;
    let file = chosen(request, version).ok_or_else(|| refusal(browser, 404, "File not found"))?;
    Ok(Response::redirect(307, &location(shared, version, file)))
}

/// The refusals that do not depend on the file, in the site's order.
fn permitted(
    shared: &Shared,
    request: &Request,
    model: &CivitModel,
    version: &CivitVersion,
) -> Result<(), Response> {
    let browser = is_browser(request);
    let signed_in = signed_in(shared, request);
    let not_found = || refusal(browser, 404, "File not found");
    if model.poi {
        return Err(not_found());
    }
    if model.archived {
        return Err(refusal(browser, 410, "Model archived, not available for download"));
    }
    if model.deleted || version.status != "Published" {
        return Err(not_found());
    }
    if version.usage_control != "Download" {
        let text = "The creator of this asset has disabled downloads on this file";
        return Err(unauthorized(browser, text));
    }
    if (version.require_auth || shared.options.civitai_login_required) && !signed_in {
        return Err(login(browser, version));
    }
    if let Some(until) = &version.early_access_until {
        return Err(early_access(browser, version, until));
    }
    match (version.no_access, signed_in) {
        (true, true) => Err(refusal(browser, 403, "You do not have access to download this file")),
        (true, false) => Err(login(browser, version)),
        (false, _) => Ok(()),
    }
}

/// By `fileId`, else the primary file when no other parameter disagrees with it.
fn chosen<'a>(request: &Request, version: &'a CivitVersion) -> Option<&'a CivitFile> {
    if let Some(id) = request.param("fileId") {
        let id: u64 = id.parse().ok()?;
        return version.files.iter().find(|file| file.id == id && !file.linked);
    }
    let kind = request.param("type");
    let of_kind = |file: &&CivitFile| kind.as_ref().is_none_or(|kind| file.kind == *kind);
    let mut files = version.files.iter().filter(of_kind);
    let file = files.clone().find(|file| file.primary).or_else(|| files.next())?;
    let agrees = |name, own: Option<&String>| request.param(name).is_none_or(|wanted| own == Some(&wanted));
    (agrees("format", Some(&file.format))
        && agrees("size", file.size.as_ref())
        && agrees("fp", file.fp.as_ref()))
    .then_some(file)
}

fn location(shared: &Shared, version: &CivitVersion, file: &CivitFile) -> String {
    let name = file.spec.name();
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect();
    let label = format!("civitai/{}/{name}", version.id);
    let etag = format!("{}-12", &file.spec.mark("s3")[..32]);
    let disposition = escaped(&format!("attachment; filename=\"{name}\""));
    let sign = |path: &str, lifetime: Duration| {
        shared.signatures.sign(
            &file.spec,
            &label,
            &etag,
            path,
            lifetime.min(shared.options.signed_url_lifetime),
        )
    };
    let base = &shared.addresses.storage;
    match shared.options.delivery {
        Delivery::R2 => {
            let path = format!("/model/4242/{safe}.{}.safetensors", &etag[..4]);
            let lifetime = R2_LIFETIME.min(shared.options.signed_url_lifetime).as_secs();
            let (signature, _) = sign(&path, R2_LIFETIME);
            format!(
                "{base}{path}?X-Amz-Expires={lifetime}&response-content-disposition={disposition}\
                 &X-Amz-Algorithm=AWS4-HMAC-SHA256\
                 &X-Amz-Credential=standin%2F20260701%2Fus-east-1%2Fs3%2Faws4_request\
                 &X-Amz-Date=20260701T120000Z&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}"
            )
        }
        Delivery::B2 => {
            let path = format!("/file/civitai-modelfiles/model/4242/{safe}");
            let (signature, expires) = sign(&path, shared.options.signed_url_lifetime);
            format!(
                "{base}{path}?Authorization=3_20260701120000_{signature}_004_{expires}_0_dnld\
                 &b2ContentDisposition={disposition}"
            )
        }
    }
}

/// What the site takes for a browser decides the form of its errors.
fn is_browser(request: &Request) -> bool {
    let agent = request.header("user-agent").unwrap_or_default().to_lowercase();
    ["mozilla", "chrome", "safari", "firefox", "opera", "edge"].iter().any(|name| agent.contains(name))
}

fn refusal(browser: bool, status: u16, text: &str) -> Response {
    if browser { Response::text(status, text) } else { super::error(status, text) }
}

fn unauthorized(browser: bool, message: &str) -> Response {
    if browser {
        return Response::text(401, message);
    }
    Response::json(401, &json!({"error": "Unauthorized", "message": message}))
}

fn login(browser: bool, version: &CivitVersion) -> Response {
    if browser {
        let location = format!("/login?returnUrl=/model-versions/{}&reason=download-auth", version.id);
        return Response::redirect(307, &location);
    }
    unauthorized(false, "The creator of this asset requires you to be logged in to download it")
}

fn early_access(browser: bool, version: &CivitVersion, until: &str) -> Response {
    if browser {
        return Response::redirect(307, &format!("/model-versions/{}", version.id));
    }
    let message = "This asset is in Early Access. You can use Buzz access it now!";
    Response::json(403, &json!({"error": "Early Access", "deadline": until, "message": message}))
}
