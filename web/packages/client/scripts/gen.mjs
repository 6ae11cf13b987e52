// Generates src/gen from the contract; with --check says whether it would change.
// protoc-gen-es writes types and descriptors; the descriptors, encoded, are then written as the literals of src/descriptor.ts.

import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

const work = mkdtempSync(join(tmpdir(), "gogochat-gen-"));
try {
  execFileSync("npx", ["buf", "generate", "--output", work], { stdio: "inherit" });
  const fresh = join(work, "src/gen");
  for (const name of files(fresh)) writeFileSync(join(fresh, name), withLiterals(readFileSync(join(fresh, name), "utf8"), name));
  if (process.argv.includes("--check")) check(fresh);
  else {
    rmSync("src/gen", { recursive: true, force: true });
    cpSync(fresh, "src/gen", { recursive: true });
  }
} finally {
  rmSync(work, { recursive: true });
}

function withLiterals(text, name) {
  const up = "../".repeat(name.split("/").length);
  return text
    .replace(/^import \{ (.*)fileDesc(?:, )?(.*) \} from "@bufbuild\/protobuf\/codegenv2";$/m, (_, before, after) => {
      const rest = [before.replace(/, $/, ""), after].filter(Boolean).join(", ");
      const others = rest && `import { ${rest} } from "@bufbuild/protobuf/codegenv2";\n`;
      return `${others}import { fileDesc } from "${up}descriptor.ts";`;
    })
    .replace(/fileDesc\("([^"]*)"/, (_, base64) => `fileDesc(${literal(fromBinary(FileDescriptorProtoSchema, base64Decode(base64)))}`);
}

/** The literal of a file. What the literals cannot say must not be in it. */
function literal(file) {
  const prefix = `.${file.package}.`;
  refuse(file.package !== "gogochat.v1" || file.syntax !== "proto3" || file.extension.length > 0, file.name);
  const messages = file.messageType.map((message) => {
    refuse(message.nestedType.length + message.enumType.length + message.extension.length > 0, message.name);
    const fields = message.field.map((field) => {
      refuse(field.options || (field.typeName && !field.typeName.startsWith(prefix)), `${message.name}.${field.name}`);
      const oneof = Object.hasOwn(field, "oneofIndex") ? field.oneofIndex : undefined;
      const tuple = [field.name, field.number, field.type, field.typeName.slice(prefix.length) || 0, field.label === 3 ? 1 : 0, oneof];
      if (field.proto3Optional) tuple.push(1);
      while (tuple.length > 3 && !(tuple.length === 6 ? tuple[5] !== undefined : tuple.at(-1))) tuple.pop();
      return tuple;
    });
    const oneofs = message.oneofDecl.map((oneof) => oneof.name);
    return oneofs.length > 0 ? [message.name, fields, oneofs] : [message.name, fields];
  });
  const enums = file.enumType.map((type) => [type.name, type.value.map((value) => [value.name, value.number])]);
  return JSON.stringify({ name: file.name, ...(messages.length > 0 && { messages }), ...(enums.length > 0 && { enums }) });
}

function refuse(condition, what) {
  if (condition) throw new Error(`${what}: src/descriptor.ts has no form for this yet`);
}

function check(fresh) {
  const read = (root, name) => {
    try {
      return readFileSync(join(root, name), "utf8");
    } catch {
      return undefined;
    }
  };
  const drift = [...new Set([...files(fresh), ...files("src/gen")])].filter((name) => read(fresh, name) !== read("src/gen", name));
  if (drift.length === 0) return;
  console.error(`src/gen has drifted from the contract; run \`npm run gen\`:\n${drift.join("\n")}`);
  process.exitCode = 1;
}

function files(root) {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1));
}
