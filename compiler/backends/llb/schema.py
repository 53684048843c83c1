"""The messages of an LLB definition, as far as they are used; enumerations are numbers.

Source: the service definitions of https://github.com/moby/buildkit (solver/pb), whose numbers never change.
"""

from __future__ import annotations

from .wire import Schema

__all__ = ["LLB", "LLB_MESSAGES"]

LLB_MESSAGES = """
message Definition {
  repeated bytes def = 1;
  map<string, OpMetadata> metadata = 2;
  Source source = 3;
}

message Op {
  repeated Input inputs = 1;
  oneof op {
    ExecOp exec = 2;
    SourceOp source = 3;
    FileOp file = 4;
    MergeOp merge = 6;
    DiffOp diff = 7;
  }
  Platform platform = 10;
}

message Input { string digest = 1; int64 index = 2; }

message Platform { string architecture = 1; string os = 2; string variant = 3; }

message SourceOp { string identifier = 1; map<string, string> attrs = 2; }

message ExecOp {
  Meta meta = 1;
  repeated Mount mounts = 2;
  int32 network = 3;
  int32 security = 4;
  repeated SecretEnv secretenv = 5;
}

message Meta {
  repeated string args = 1;
  repeated string env = 2;
  string cwd = 3;
  string user = 4;
  ProxyEnv proxy_env = 5;
  bool remove_mount_stubs_recursive = 11;
}

message ProxyEnv {
  string http_proxy = 1;
  string https_proxy = 2;
  string ftp_proxy = 3;
  string no_proxy = 4;
  string all_proxy = 5;
}

message SecretEnv { string id = 1; string name = 2; bool optional = 3; }

message Mount {
  int64 input = 1;
  string selector = 2;
  string dest = 3;
  int64 output = 4;
  bool readonly = 5;
  int32 mount_type = 6;
  CacheOpt cache = 20;
  SecretOpt secret = 21;
  SshOpt ssh = 22;
}

message CacheOpt { string id = 1; int32 sharing = 2; }

message SecretOpt { string id = 1; uint32 uid = 2; uint32 gid = 3; uint32 mode = 4; bool optional = 5; }

message SshOpt { string id = 1; uint32 uid = 2; uint32 gid = 3; uint32 mode = 4; bool optional = 5; }

message FileOp { repeated FileAction actions = 2; }

message FileAction {
  int64 input = 1;
  int64 secondary_input = 2;
  int64 output = 3;
  oneof action {
    FileActionCopy copy = 4;
    FileActionMkFile mkfile = 5;
    FileActionMkDir mkdir = 6;
  }
}

message FileActionCopy {
  string src = 1;
  string dest = 2;
  ChownOpt owner = 3;
  int32 mode = 4;
  bool follow_symlink = 5;
  bool dir_copy_contents = 6;
  bool create_dest_path = 8;
  bool allow_wildcard = 9;
  bool allow_empty_wildcard = 10;
  int64 timestamp = 11;
  repeated string exclude_patterns = 13;
}

message FileActionMkFile { string path = 1; int32 mode = 2; bytes data = 3; ChownOpt owner = 4; int64 timestamp = 5; }

message FileActionMkDir {
  string path = 1;
  int32 mode = 2;
  bool make_parents = 3;
  ChownOpt owner = 4;
  int64 timestamp = 5;
}

message ChownOpt { UserOpt user = 1; UserOpt group = 2; }

message UserOpt { oneof user { NamedUserOpt by_name = 1; uint32 by_id = 2; } }

message NamedUserOpt { string name = 1; int64 input = 2; }

message MergeOp { repeated MergeInput inputs = 1; }

message MergeInput { int64 input = 1; }

message DiffOp { DiffSide lower = 1; DiffSide upper = 2; }

message DiffSide { int64 input = 1; }

message OpMetadata {
  bool ignore_cache = 1;
  map<string, string> description = 2;
  map<string, bool> caps = 5;
}

message Source { map<string, Locations> locations = 1; repeated SourceInfo infos = 2; }

message Locations { repeated Location locations = 1; }

message Location { int32 source_index = 1; repeated Range ranges = 2; }

message Range { Position start = 1; Position end = 2; }

message Position { int32 line = 1; int32 character = 2; }

message SourceInfo { string filename = 1; bytes data = 2; string language = 4; }
"""

LLB = Schema(LLB_MESSAGES)
