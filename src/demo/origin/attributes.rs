//! What hangs on an object: its ACL, its tags, and symlinks.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use crate::demo::origin::bucket::acl_document;
use crate::demo::origin::call::Call;
use crate::demo::origin::options::Acl;
use crate::demo::origin::receive::{Incoming, Received, document};
use crate::demo::origin::refusal::Refusal;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::store::{Kind, Object};
use crate::demo::origin::target::decode;
use crate::demo::origin::write::{apply_attributes, forbids_overwrite, kept_headers, object_of};
use crate::demo::origin::xml::Xml;
use crate::oss::xml;

/// Changes the object a request is about.
fn change(call: &Call<'_>, name: &str, edit: impl FnOnce(&mut Object)) -> Result<(), Refusal> {
    call.shared.store.with(name, |bucket| {
        let mut object = (*bucket.found(&call.key)?).clone();
        edit(&mut object);
        bucket.objects.insert(call.key.clone(), Arc::new(object));
        Ok(())
    })
}

/// `GET /key?acl`.
pub(super) fn get_acl(call: &Call<'_>, name: &str, owner: &str) -> Result<Reply, Refusal> {
    let object = call
        .shared
        .store
        .with(name, |bucket| bucket.found(&call.key))?;
    Ok(Reply::xml(acl_document(owner, &object.acl)))
}

/// `PUT /key?acl`.
pub(super) fn put_acl(call: &Call<'_>, name: &str) -> Result<Reply, Refusal> {
    let acl = call.header("x-oss-object-acl").unwrap_or_default();
    if acl != "default" && Acl::parse(&acl).is_none() {
        return Err(Refusal::InvalidArgument {
            name: "x-oss-object-acl",
            value: acl,
        });
    }
    change(call, name, |object| object.acl = acl)?;
    Ok(Reply::new(StatusCode::OK))
}

/// `GET /key?tagging`.
pub(super) fn get_tagging(call: &Call<'_>, name: &str) -> Result<Reply, Refusal> {
    let object = call
        .shared
        .store
        .with(name, |bucket| bucket.found(&call.key))?;
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

/// `PUT /key?tagging`.
pub(super) async fn put_tagging(
    call: &Call<'_>,
    name: &str,
    body: Incoming<'_>,
) -> Result<Reply, Refusal> {
    let bytes = document(body, call.headers, call.entry).await?;
    let root = xml::parse(&bytes).ok_or(Refusal::MalformedXml)?;
    let tags = root.child("TagSet").ok_or(Refusal::MalformedXml)?;
    let text = |tag: &xml::Node, name: &str| tag.text_of(name).unwrap_or_default().to_owned();
    let tags: Vec<(String, String)> = tags
        .all("Tag")
        .map(|tag| (text(tag, "Key"), text(tag, "Value")))
        .collect();
    if tags.len() > 10 {
        return Err(Refusal::InvalidArgument {
            name: "TagSet",
            value: tags.len().to_string(),
        });
    }
    change(call, name, |object| object.tags = tags)?;
    Ok(Reply::new(StatusCode::OK))
}

/// `DELETE /key?tagging`.
pub(super) fn delete_tagging(call: &Call<'_>, name: &str) -> Result<Reply, Refusal> {
    change(call, name, |object| object.tags.clear())?;
    Ok(Reply::new(StatusCode::NO_CONTENT))
}

/// `PUT /key?symlink`.
pub(super) fn put_symlink(call: &Call<'_>, name: &str) -> Result<Reply, Refusal> {
    let target = call
        .header("x-oss-symlink-target")
        .filter(|target| !target.is_empty())
        .ok_or(Refusal::MissingArgument("x-oss-symlink-target"))?;
    let mut object = object_of(
        Received::of(Bytes::new()),
        Kind::Symlink(decode(&target)),
        call.now,
        kept_headers(call.headers),
    );
    apply_attributes(call, &mut object);
    call.shared.store.with(name, |bucket| {
        if forbids_overwrite(call) && bucket.object(&call.key).is_some() {
            return Err(Refusal::FileAlreadyExists);
        }
        let reply = Reply::new(StatusCode::OK).with("etag", &format!("\"{}\"", object.etag));
        bucket.objects.insert(call.key.clone(), Arc::new(object));
        Ok(reply)
    })
}

/// `GET /key?symlink`.
pub(super) fn get_symlink(call: &Call<'_>, name: &str) -> Result<Reply, Refusal> {
    let object = call
        .shared
        .store
        .with(name, |bucket| bucket.found(&call.key))?;
    let Kind::Symlink(target) = &object.kind else {
        return Err(Refusal::NoSuchSetting("NotSymlink"));
    };
    Ok(Reply::new(StatusCode::OK)
        .with("etag", &format!("\"{}\"", object.etag))
        .with("last-modified", &httpdate::fmt_http_date(object.modified))
        .with("x-oss-symlink-target", &super::list::encode(target, true)))
}
