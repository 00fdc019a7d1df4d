//! Handlers for the ACL and the tags of an object, and for symlinks.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use crate::demo::origin::error::OssError;
use crate::demo::origin::keys::KeyEncoding;
use crate::demo::origin::object::requested_object;
use crate::demo::origin::options::Acl;
use crate::demo::origin::receive::{Received, RequestBody, document};
use crate::demo::origin::request::OssRequest;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::store::{Kind, Object};
use crate::demo::origin::target::decode;
use crate::demo::origin::xml::{Xml, acl_document};
use crate::oss::xml;

/// Applies `edit` to the object of the request.
fn change(
    request: &OssRequest<'_>,
    name: &str,
    edit: impl FnOnce(&mut Object),
) -> Result<(), OssError> {
    request.state.store.with(name, |bucket| {
        let mut object = (*bucket.found(&request.key)?).clone();
        edit(&mut object);
        bucket.objects.insert(request.key.clone(), Arc::new(object));
        Ok(())
    })
}

/// Handles `GET /key?acl`.
pub(super) fn get_acl(
    request: &OssRequest<'_>,
    name: &str,
    owner: &str,
) -> Result<Reply, OssError> {
    let object = request
        .state
        .store
        .with(name, |bucket| bucket.found(&request.key))?;
    Ok(Reply::xml(acl_document(owner, &object.acl)))
}

/// Handles `PUT /key?acl`.
pub(super) fn put_acl(request: &OssRequest<'_>, name: &str) -> Result<Reply, OssError> {
    let acl = request.header("x-oss-object-acl").unwrap_or_default();
    if acl != "default" && Acl::parse(&acl).is_none() {
        return Err(OssError::InvalidArgument {
            name: "x-oss-object-acl",
            value: acl,
        });
    }
    change(request, name, |object| object.acl = acl)?;
    Ok(Reply::new(StatusCode::OK))
}

/// Handles `GET /key?tagging`.
pub(super) fn get_tagging(request: &OssRequest<'_>, name: &str) -> Result<Reply, OssError> {
    let object = request
        .state
        .store
        .with(name, |bucket| bucket.found(&request.key))?;
    let mut xml = Xml::new("Tagging");
    xml.open("TagSet");
    for (key, value) in &object.tags {
        xml.open("Tag");
        xml.leaf("Key", key);
        xml.leaf("Value", value);
        xml.close("Tag");
    }
    xml.close("TagSet");
    Ok(Reply::xml(xml.finish("Tagging")))
}

/// Handles `PUT /key?tagging`.
pub(super) async fn put_tagging(
    request: &OssRequest<'_>,
    name: &str,
    body: RequestBody<'_>,
) -> Result<Reply, OssError> {
    let bytes = document(body, request.headers, request.entry).await?;
    let root = xml::parse(&bytes).ok_or(OssError::MalformedXml)?;
    let tags = root.child("TagSet").ok_or(OssError::MalformedXml)?;
    let text = |tag: &xml::Node, name: &str| tag.text_of(name).unwrap_or_default().to_owned();
    let tags: Vec<(String, String)> = tags
        .all("Tag")
        .map(|tag| (text(tag, "Key"), text(tag, "Value")))
        .collect();
    if tags.len() > 10 {
        return Err(OssError::InvalidArgument {
            name: "TagSet",
            value: tags.len().to_string(),
        });
    }
    change(request, name, |object| object.tags = tags)?;
    Ok(Reply::new(StatusCode::OK))
}

/// Handles `DELETE /key?tagging`.
pub(super) fn delete_tagging(request: &OssRequest<'_>, name: &str) -> Result<Reply, OssError> {
    change(request, name, |object| object.tags.clear())?;
    Ok(Reply::new(StatusCode::NO_CONTENT))
}

/// Handles `PUT /key?symlink`.
pub(super) fn put_symlink(request: &OssRequest<'_>, name: &str) -> Result<Reply, OssError> {
    let target = request
        .header("x-oss-symlink-target")
        .filter(|target| !target.is_empty())
        .ok_or(OssError::MissingArgument("x-oss-symlink-target"))?;
    let received = Received::of(Bytes::new());
    let object = requested_object(request, received, Kind::Symlink(decode(&target)));
    request.state.store.with(name, |bucket| {
        if request.forbids_overwrite() && bucket.object(&request.key).is_some() {
            return Err(OssError::FileAlreadyExists);
        }
        let reply = Reply::new(StatusCode::OK).with("etag", &format!("\"{}\"", object.etag));
        bucket.objects.insert(request.key.clone(), Arc::new(object));
        Ok(reply)
    })
}

/// Handles `GET /key?symlink`.
pub(super) fn get_symlink(request: &OssRequest<'_>, name: &str) -> Result<Reply, OssError> {
    let object = request
        .state
        .store
        .with(name, |bucket| bucket.found(&request.key))?;
    let Kind::Symlink(target) = &object.kind else {
        return Err(OssError::NoSuchSetting("NotSymlink"));
    };
    Ok(Reply::new(StatusCode::OK)
        .with("etag", &format!("\"{}\"", object.etag))
        .with("last-modified", &httpdate::fmt_http_date(object.modified))
        .with("x-oss-symlink-target", &KeyEncoding::Url.show(target)))
}
