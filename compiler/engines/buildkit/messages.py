"""The messages of BuildKit's services, as far as they are used: control, the frontend's bridge, and the session.

Source: https://github.com/moby/buildkit (api/services/control, frontend/gateway/pb, session),
https://github.com/containerd/containerd (api/services/content) and https://github.com/tonistiigi/fsutil (types).
The numbers of fields never change.
"""

from __future__ import annotations

from ...backends.llb.schema import LLB_MESSAGES
from ...backends.llb.wire import Schema

__all__ = ["SERVICES"]

_CONTROL = """
message SolveRequest {
  string ref = 1;
  Definition definition = 2;
  string exporter = 3;
  map<string, string> exporter_attrs = 4;
  string session = 5;
  string frontend = 6;
  map<string, string> frontend_attrs = 7;
  CacheOptions cache = 8;
  repeated string entitlements = 9;
  repeated Exporter exporters = 13;
}

message Exporter { string type = 1; map<string, string> attrs = 2; }

message CacheOptions { repeated CacheEntry exports = 4; repeated CacheEntry imports = 5; }

message CacheEntry { string type = 1; map<string, string> attrs = 2; }

message SolveResponse { map<string, string> exporter_response = 1; }

message StatusRequest { string ref = 1; }

message StatusResponse {
  repeated Vertex vertexes = 1;
  repeated VertexStatus statuses = 2;
  repeated VertexLog logs = 3;
}

message Timestamp { int64 seconds = 1; int32 nanos = 2; }

message Vertex {
  string digest = 1;
  repeated string inputs = 2;
  string name = 3;
  bool cached = 4;
  Timestamp started = 5;
  Timestamp completed = 6;
  string error = 7;
}

message VertexStatus {
  string id = 1;
  string vertex = 2;
  string name = 3;
  int64 current = 4;
  int64 total = 5;
  Timestamp timestamp = 6;
  Timestamp started = 7;
  Timestamp completed = 8;
}

message VertexLog { string vertex = 1; Timestamp timestamp = 2; int64 stream = 3; bytes msg = 4; }

message ListWorkersRequest {}

message ListWorkersResponse { repeated WorkerRecord record = 1; }

message WorkerRecord {
  string id = 1;
  map<string, string> labels = 2;
  repeated Platform platforms = 3;
  BuildkitVersion version = 5;
}

message BuildkitVersion { string package = 1; string version = 2; string revision = 3; }

message BytesMessage { bytes data = 1; }
"""

_BRIDGE = """
message PingRequest {}

message PongResponse {
  repeated ApiCap frontend_caps = 1;
  repeated ApiCap llb_caps = 2;
  repeated WorkerRecord workers = 3;
}

message ApiCap { string id = 1; bool enabled = 2; string disabled_reason = 4; }

message ResolveImageConfigRequest {
  string ref = 1;
  Platform platform = 2;
  string resolve_mode = 3;
  string log_name = 4;
}

message ResolveImageConfigResponse { string digest = 1; bytes config = 2; string ref = 3; }

message BridgeSolveRequest {
  Definition definition = 1;
  string frontend = 2;
  map<string, string> frontend_opt = 3;
  bool allow_result_return = 5;
  bool allow_result_array_ref = 6;
  repeated CacheEntry cache_imports = 12;
  map<string, Definition> frontend_inputs = 13;
  bool evaluate = 14;
}

message BridgeSolveResponse { Result result = 3; }

message Result {
  oneof result { Ref ref = 3; RefMap refs = 4; }
  map<string, bytes> metadata = 10;
}

message Ref { string id = 1; Definition def = 2; }

message RefMap { map<string, Ref> refs = 1; }

message ReadFileRequest { string ref = 1; string file_path = 2; FileRange range = 3; }

message FileRange { int64 offset = 1; int64 length = 2; }

message ReadFileResponse { bytes data = 1; }

message ReadDirRequest { string ref = 1; string dir_path = 2; string include_pattern = 3; }

message ReadDirResponse { repeated Stat entries = 1; }

message WarnRequest { string digest = 1; int64 level = 2; bytes short = 3; repeated bytes detail = 4; string url = 5; }

message ReturnRequest { Result result = 1; Status error = 2; }

message Status { int32 code = 1; string message = 2; repeated Any details = 3; }

message Any { string type_url = 1; bytes value = 2; }
"""

_SESSION = """
message HealthCheckResponse { int32 status = 1; }

message GetSecretRequest { string id = 1; map<string, string> annotations = 2; }

message GetSecretResponse { bytes data = 1; }

message CheckAgentRequest { string id = 1; }

message CredentialsRequest { string host = 1; }

message CredentialsResponse { string username = 1; string secret = 2; }

message ContentDigest { string digest = 1; }

message ContentInfoMessage { ContentInfo info = 1; }

message ContentInfo { string digest = 1; int64 size = 2; Timestamp created_at = 3; Timestamp updated_at = 4; }

message ReadContentRequest { string digest = 1; int64 offset = 2; int64 size = 3; }

message ReadContentResponse { int64 offset = 1; bytes data = 2; }

message WriteContentRequest {
  int32 action = 1;
  string ref = 2;
  int64 total = 3;
  string expected = 4;
  int64 offset = 5;
  bytes data = 6;
}

message WriteContentResponse {
  int32 action = 1;
  Timestamp started_at = 2;
  Timestamp updated_at = 3;
  int64 offset = 4;
  int64 total = 5;
  string digest = 6;
}

message Packet { int32 type = 1; Stat stat = 2; uint32 id = 3; bytes data = 4; }

message Stat {
  string path = 1;
  uint32 mode = 2;
  uint32 uid = 3;
  uint32 gid = 4;
  int64 size = 5;
  int64 mod_time = 6;
  string linkname = 7;
  int64 devmajor = 8;
  int64 devminor = 9;
  map<string, bytes> xattrs = 10;
}
"""

SERVICES = Schema(LLB_MESSAGES + _CONTROL + _BRIDGE + _SESSION)
