// The operations of npm `ali-oss`. Reads its task from standard input and writes {name: outcome} as JSON.
import crypto from "node:crypto";
import dns from "node:dns";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";

// *.example.test leads to this machine. The SDK itself is not modified.
const lookup = dns.lookup;
dns.lookup = (name, options, done) => lookup(name.endsWith(".example.test") ? "127.0.0.1" : name, options, done);

const { default: OSS } = await import("ali-oss");
const ask = JSON.parse(fs.readFileSync(0, "utf8"));
const md5 = (data) => crypto.createHash("md5").update(data).digest("hex");
const key = (name) => `${ask.tag}/node/${ask.v4}/${name}`;

function client(accessKeyId, accessKeySecret, stsToken) {
  return new OSS({
    accessKeyId, accessKeySecret, stsToken, bucket: ask.bucket, endpoint: ask.endpoint, region: `oss-${ask.region}`,
    cname: ask.cname, sldEnable: ask.style === "path by IP", secure: false, authorizationV4: ask.v4, timeout: 60000,
  });
}
const oss = client(ask.facts["key-id"], ask.facts["key-secret"]);
const small = Buffer.from("hello world".repeat(100));
const piece = Buffer.alloc(1 << 20, "0123456789abcdef");
const large = Buffer.concat(Array(64).fill(piece));
const largeFile = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "sdk-")), "large");
fs.writeFileSync(largeFile, large);

const get = async (name, options) => {
  const { res, content } = await oss.get(name, options);
  return [res.status, md5(content), res.headers.etag, res.headers["content-range"], res.headers["content-type"]];
};
const putAndGet = async (name, body, options) => {
  const { res } = await oss.put(name, body, options);
  return [res.status, res.headers.etag, res.headers["x-oss-hash-crc64ecma"], await get(name)];
};
const fetched = (url, method, body) => new Promise((done, fail) => {
  const request = http.request(url, { method }, async (answer) => {
    const pieces = [];
    for await (const piece of answer) pieces.push(piece);
    done([answer.statusCode, md5(Buffer.concat(pieces))]);
  });
  request.on("error", fail);
  request.end(body);
});

const operations = {
  "put and get": () => putAndGet(key("small"), small, { mime: "text/plain", headers: { "cache-control": "no-cache" } }),
  "zero bytes": () => putAndGet(key("empty"), Buffer.alloc(0)),
  "head": async () => (await oss.head(key("small"))).res.headers["content-length"],
  "head of nothing": () => oss.head(key("nothing")),
  "get of nothing": () => oss.get(key("nothing")),
  "wrong secret": () => client(ask.facts["key-id"], "wrong").get(key("small")),
  "odd key 0": () => putAndGet(`${ask.tag}/目录/照片 1+2.jpg`, Buffer.from("a")),
  "odd key 1": () => putAndGet(`${ask.tag}/a%2Fb%20c`, Buffer.from("b")),
  "odd key 2": () => putAndGet(`${ask.tag}/x//y`, Buffer.from("c")),
  "odd key 4": () => putAndGet(`${ask.tag}/trailing/`, Buffer.from("d")),
  "range": () => get(key("small"), { headers: { Range: "bytes=3-9" } }),
  "precondition failed": () => oss.get(key("small"), { headers: { "If-Match": '"0"' } }),
  "forbid overwrite": () => oss.put(key("small"), small, { headers: { "x-oss-forbid-overwrite": "true" } }),
  "append": async () => {
    await oss.delete(key("append"));
    const first = await oss.append(key("append"), Buffer.from("one"));
    const second = await oss.append(key("append"), Buffer.from("two"), { position: first.nextAppendPosition });
    return [first.nextAppendPosition, second.nextAppendPosition, (await get(key("append")))[1]];
  },
  "multipart 64 MiB": async () => {
    const { res, etag } = await oss.multipartUpload(key("multipart"), largeFile, { partSize: 1 << 20, parallel: 2 });
    return [res.status, etag, (await get(key("multipart")))[1] === md5(large)];
  },
  "copy": async () => [(await oss.copy(key("copy"), key("small"))).res.status, (await get(key("copy")))[1]],
  "chunked upload": async () => {
    const { res } = await oss.putStream(key("stream"), fs.createReadStream(largeFile, { end: 300000 }));
    return [res.status, await get(key("stream"))];
  },
  "list with paging": async () => {
    for (let number = 0; number < 5; number++) await oss.put(key(`list/d${number % 2}/${number}`), Buffer.from("x"));
    const first = await oss.listV2({ prefix: key("list/"), "max-keys": 3 });
    const rest = await oss.listV2({ prefix: key("list/"), "continuation-token": first.nextContinuationToken });
    const tops = await oss.listV2({ prefix: key("list/"), delimiter: "/" });
    return [first.objects.map((o) => o.name), rest.objects.map((o) => o.name), tops.prefixes];
  },
  "tagging": async () => {
    await oss.putObjectTagging(key("small"), { a: "1", "b c": "2+3" });
    return (await oss.getObjectTagging(key("small"))).tag;
  },
  "symlink": async () => {
    await oss.putSymlink(key("link"), key("small"));
    return [(await oss.getSymlink(key("link"))).targetName, (await get(key("link")))[1]];
  },
  "60 metadata headers": async () => {
    const meta = Object.fromEntries(Array.from({ length: 60 }, (_, number) => [`m${number}`, "v".repeat(100)]));
    await oss.put(key("meta"), small, { meta });
    return (await oss.head(key("meta"))).meta;
  },
  "presigned put and get": async () => {
    const sign = (method) => ask.v4
      ? oss.signatureUrlV4(method, 600, { headers: {} }, key("signed"))
      : oss.signatureUrl(key("signed"), { method, expires: 600 });
    return [await fetched(await sign("PUT"), "PUT", "signed"), await fetched(await sign("GET"), "GET")];
  },
  "temporary key": async () =>
    (await client(ask.facts["sts-id"], ask.facts["sts-secret"], ask.facts["sts-token"]).put(key("sts"), small)).res.status,
  "batch delete": async () => (await oss.deleteMulti([key("copy"), key("link")])).deleted.map((d) => d.Key ?? d),
  "delete": async () => (await oss.delete(key("stream"))).res.status,
};

// By IP this SDK cannot make a V1 URL: "can not get the object URL when endpoint is IP".
if (ask.style === "path by IP" && !ask.v4) delete operations["presigned put and get"];

const results = {};
for (const [name, run] of Object.entries(operations)) {
  try {
    results[name] = ["ok", (await run()) ?? null];
  } catch (error) {
    results[name] = ["failed", error.name, error.status ?? null, error.code ?? null, error.ecCode ?? null];
  }
}
process.stdout.write(JSON.stringify(results));
