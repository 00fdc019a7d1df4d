//! Checks whether the sender may make the request, and calls the handler of the request.

use http::{Method, StatusCode};

use crate::demo::origin::error::OssError;
use crate::demo::origin::options::Acl;
use crate::demo::origin::receive::{RequestBody, demand_framing};
use crate::demo::origin::request::OssRequest;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::{attributes, bucket, copy, delete_many, form, list};
use crate::demo::origin::{multipart, multipart_list, read, write};
use crate::oss::addressing::is_bucket_name;

/// Returns the response to `request`.
///
/// # Errors
///
/// The [`OssError`] of the handler. If the request is not permitted, [`OssError::Denied`] or
/// [`OssError::AccessDenied`].
pub(super) async fn answer(
    request: &OssRequest<'_>,
    body: RequestBody<'_>,
) -> Result<Reply, OssError> {
    if let Some(name) = request.bucket.as_deref()
        && is_form(request)
    {
        return form::post(request, name, body).await;
    }
    if *request.method == Method::OPTIONS {
        return Err(OssError::CorsForbidden);
    }
    let identity = request
        .state
        .options
        .verify
        .verify(
            request.method,
            request.raw_query,
            request.headers,
            request.bucket.as_deref(),
            &request.key,
        )
        .map_err(OssError::Denied)?;
    let Some(name) = request.bucket.as_deref() else {
        return match (identity, request.method) {
            (None, _) => Err(OssError::AccessDenied),
            (Some(owner), &Method::GET) => bucket::list_all(request, &owner),
            (Some(_), method) => Err(OssError::MethodNotAllowed(method.to_string())),
        };
    };
    if !is_bucket_name(name) {
        return Err(OssError::InvalidBucketName(name.to_owned()));
    }
    if request.key.is_empty() && *request.method == Method::PUT {
        identity.ok_or(OssError::AccessDenied)?;
        return bucket::put(request, name, body).await;
    }
    if identity.is_none() {
        check_anonymous(request, name)?;
    } else {
        request.state.store.with(name, |_| Ok(()))?;
    }
    if request.key.is_empty() {
        answer_bucket(request, name, identity.as_deref(), body).await
    } else {
        answer_object(request, name, identity.as_deref(), body).await
    }
}

/// Whether the request is PostObject. Its signature is in the body, not in the head.
fn is_form(request: &OssRequest<'_>) -> bool {
    *request.method == Method::POST
        && request.key.is_empty()
        && request
            .header("content-type")
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/form-data"))
}

/// Checks that an anonymous request is permitted.
fn check_anonymous(request: &OssRequest<'_>, bucket: &str) -> Result<(), OssError> {
    // A request for a sub-resource needs a signature, except for the parameters below.
    let is_plain = request.query.names().all(|name| {
        !crate::oss::subresource::is_subresource(name.as_bytes())
            || matches!(name, "x-oss-process" | "versionId" | "x-oss-traffic-limit")
            || name.starts_with("response-")
    });
    request.state.store.with(bucket, |bucket| {
        let object_acl = bucket
            .objects
            .get(&request.key)
            .and_then(|object| Acl::parse(&object.acl));
        let acl = object_acl.unwrap_or(bucket.options.acl);
        let is_allowed = !request.key.is_empty()
            && is_plain
            && match *request.method {
                Method::GET | Method::HEAD => acl != Acl::Private,
                Method::PUT | Method::DELETE => acl == Acl::PublicReadWrite,
                _ => false,
            };
        if is_allowed {
            Ok(())
        } else {
            Err(OssError::AccessDenied)
        }
    })
}

async fn answer_bucket(
    request: &OssRequest<'_>,
    name: &str,
    owner: Option<&str>,
    body: RequestBody<'_>,
) -> Result<Reply, OssError> {
    let owner = owner.unwrap_or_default();
    match *request.method {
        Method::GET | Method::HEAD if request.query.has("uploads") => {
            multipart_list::uploads(request, name, owner)
        }
        Method::GET | Method::HEAD => match bucket::get(request, name, owner)? {
            Some(reply) => Ok(reply),
            None => list::list(request, name, owner),
        },
        Method::DELETE => bucket::delete(request, name),
        Method::POST if request.query.has("delete") => {
            delete_many::delete(request, name, body).await
        }
        _ => Err(OssError::MethodNotAllowed(request.method.to_string())),
    }
}

async fn answer_object(
    request: &OssRequest<'_>,
    name: &str,
    owner: Option<&str>,
    body: RequestBody<'_>,
) -> Result<Reply, OssError> {
    let has = |sub_resource| request.query.has(sub_resource);
    match *request.method {
        Method::GET | Method::HEAD => {
            if has("acl") {
                attributes::get_acl(request, name, owner.unwrap_or_default())
            } else if has("tagging") {
                attributes::get_tagging(request, name)
            } else if has("symlink") {
                attributes::get_symlink(request, name)
            } else if has("uploadId") {
                multipart_list::parts(request, name)
            } else if has("objectMeta") {
                read::meta(request, name)
            } else {
                read::read(request, name, owner)
            }
        }
        Method::PUT => {
            if has("acl") {
                return attributes::put_acl(request, name);
            }
            if has("tagging") {
                return attributes::put_tagging(request, name, body).await;
            }
            request.check_key()?;
            if has("symlink") {
                return attributes::put_symlink(request, name);
            }
            if request.headers.contains_key("x-oss-copy-source") {
                return if has("partNumber") {
                    copy::copy_part(request, name)
                } else {
                    copy::copy(request, name)
                };
            }
            demand_framing(request.headers, &body)?;
            if has("partNumber") || has("uploadId") {
                multipart::put_part(request, name, body).await
            } else {
                write::put(request, name, body).await
            }
        }
        Method::POST => {
            if has("append") {
                request.check_key()?;
                demand_framing(request.headers, &body)?;
                write::append(request, name, body).await
            } else if has("uploads") {
                request.check_key()?;
                multipart::initiate(request, name)
            } else if has("uploadId") {
                multipart::complete(request, name, body).await
            } else if has("restore") {
                Err(OssError::NotImplemented("restore"))
            } else {
                Err(OssError::NotImplemented("this POST"))
            }
        }
        Method::DELETE => {
            if has("uploadId") {
                multipart::abort(request, name)
            } else if has("tagging") {
                attributes::delete_tagging(request, name)
            } else {
                request.state.store.with(name, |bucket| {
                    bucket.objects.remove(&request.key);
                    Ok(Reply::new(StatusCode::NO_CONTENT))
                })
            }
        }
        _ => Err(OssError::MethodNotAllowed(request.method.to_string())),
    }
}
