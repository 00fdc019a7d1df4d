//! Buckets: the list of all, creation, information, deletion.

use http::{Method, StatusCode};

use crate::demo::origin::call::Call;
use crate::demo::origin::options::{Acl, BucketOptions};
use crate::demo::origin::receive::{DOCUMENT_LIMIT, Incoming, read};
use crate::demo::origin::refusal::Refusal;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::store::Bucket;
use crate::demo::origin::time::iso;
use crate::demo::origin::xml::Xml;

/// Writes the owner of everything.
pub(super) fn write_owner(xml: &mut Xml, owner: &str) {
    xml.open("Owner");
    xml.leaf("ID", owner);
    xml.leaf("DisplayName", owner);
    xml.close("Owner");
}

/// `GET /` of the service.
pub(super) fn list_all(call: &Call<'_>, owner: &str) -> Result<Reply, Refusal> {
    let mut xml = Xml::new("ListAllMyBucketsResult");
    write_owner(&mut xml, owner);
    xml.open("Buckets");
    for bucket in call.shared.store.lock().values() {
        xml.open("Bucket");
        write_facts(&mut xml, call, bucket);
        xml.close("Bucket");
    }
    xml.close("Buckets");
    Ok(Reply::xml(xml.finish("ListAllMyBucketsResult")))
}

fn write_facts(xml: &mut Xml, call: &Call<'_>, bucket: &Bucket) {
    let options = &call.shared.options;
    let endpoint = options.endpoints.first().map_or("", String::as_str);
    xml.leaf("CreationDate", &iso(bucket.created));
    xml.leaf("ExtranetEndpoint", endpoint);
    xml.leaf("IntranetEndpoint", endpoint);
    xml.leaf("Location", &format!("oss-{}", options.region));
    xml.leaf("Name", &bucket.options.name);
    xml.leaf("Region", &options.region);
    xml.leaf("StorageClass", "Standard");
}

/// `PUT /bucket`, with or without `?acl`.
pub(super) async fn put(
    call: &Call<'_>,
    name: &str,
    _owner: &str,
    body: Incoming<'_>,
) -> Result<Reply, Refusal> {
    read(body, DOCUMENT_LIMIT, call.entry).await?;
    let acl = call.header("x-oss-acl").and_then(|text| Acl::parse(&text));
    let mut buckets = call.shared.store.lock();
    if let Some(bucket) = buckets.get_mut(name) {
        bucket.options.acl = acl.unwrap_or(bucket.options.acl);
    } else {
        let mut options = BucketOptions::new(name);
        options.acl = acl.unwrap_or(options.acl);
        buckets.insert(name.to_owned(), Bucket::new(options, call.now));
    }
    Ok(Reply::new(StatusCode::OK))
}

/// `GET /bucket?bucketInfo` and its like; `None` when the request is a listing.
pub(super) fn get(call: &Call<'_>, name: &str, owner: &str) -> Result<Option<Reply>, Refusal> {
    call.shared.store.with(name, |bucket| {
        if call.query.has("bucketInfo") {
            let mut xml = Xml::new("BucketInfo");
            xml.open("Bucket");
            write_facts(&mut xml, call, bucket);
            write_owner(&mut xml, owner);
            xml.open("AccessControlList");
            xml.leaf("Grant", bucket.options.acl.as_str());
            xml.close("AccessControlList");
            xml.close("Bucket");
            Ok(Some(Reply::xml(xml.finish("BucketInfo"))))
        } else if call.query.has("location") {
            let mut xml = Xml::new("LocationConstraint");
            xml.text(&format!("oss-{}", call.shared.options.region));
            Ok(Some(Reply::xml(xml.finish("LocationConstraint"))))
        } else if call.query.has("acl") {
            Ok(Some(Reply::xml(acl_document(
                owner,
                bucket.options.acl.as_str(),
            ))))
        } else if *call.method == Method::HEAD {
            Ok(Some(Reply::new(StatusCode::OK)))
        } else {
            Ok(None)
        }
    })
}

/// The document of `?acl`.
pub(super) fn acl_document(owner: &str, grant: &str) -> String {
    let mut xml = Xml::new("AccessControlPolicy");
    write_owner(&mut xml, owner);
    xml.open("AccessControlList");
    xml.leaf("Grant", grant);
    xml.close("AccessControlList");
    xml.finish("AccessControlPolicy")
}

/// `DELETE /bucket`.
pub(super) fn delete(call: &Call<'_>, name: &str) -> Result<Reply, Refusal> {
    let mut buckets = call.shared.store.lock();
    match buckets.get(name) {
        None => Err(Refusal::NoSuchBucket(name.to_owned())),
        Some(bucket) if !bucket.objects.is_empty() => Err(Refusal::BucketNotEmpty(name.to_owned())),
        Some(_) => {
            buckets.remove(name);
            Ok(Reply::new(StatusCode::NO_CONTENT))
        }
    }
}
