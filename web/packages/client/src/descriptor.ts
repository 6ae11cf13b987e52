// Descriptors of the generated messages, from literals instead of encoded files: the runtime then needs no descriptor of descriptors,
// which would be a third of what a page downloads. `scripts/gen.mjs` writes the literals.

import { createFileRegistry, type DescFile } from "@bufbuild/protobuf";
import type { GenFile } from "@bufbuild/protobuf/codegenv2";
import type { FileDescriptorProto } from "@bufbuild/protobuf/wkt";

/** Name, number, type (FieldDescriptorProto.Type); then, where there are such, message or enum, 1 when repeated, index of its oneof, 1 when optional. */
export type FieldLiteral = readonly [name: string, number: number, type: number, typeName?: string | 0, repeated?: 0 | 1, oneof?: number, optional?: 1];

/** A file of the package gogochat.v1, as far as messages and enums go. */
export interface FileLiteral {
  readonly name: string;
  readonly messages?: readonly (readonly [name: string, fields: readonly FieldLiteral[], oneofs?: readonly string[]])[];
  readonly enums?: readonly (readonly [name: string, values: readonly (readonly [string, number])[]])[];
}

/** The descriptor of a generated file. */
export function fileDesc(file: FileLiteral, imports: readonly DescFile[] = []): GenFile {
  const proto = {
    $typeName: "google.protobuf.FileDescriptorProto",
    name: file.name,
    package: PACKAGE,
    syntax: "proto3",
    dependency: imports.map((dependency) => dependency.proto.name),
    messageType: (file.messages ?? []).map(([name, fields, oneofs = []]) => ({
      name,
      field: fields.map(field),
      oneofDecl: oneofs.map((oneof) => ({ name: oneof })),
      nestedType: [],
      enumType: [],
      extension: [],
    })),
    enumType: (file.enums ?? []).map(([name, values]) => ({
      name,
      value: values.map(([value, number]) => ({ name: value, number })),
    })),
    service: [],
    extension: [],
  };
  const registry = createFileRegistry(proto as unknown as FileDescriptorProto, (name) =>
    imports.find((dependency) => dependency.proto.name === name),
  );
  return registry.getFile(file.name) as GenFile;
}

/** The runtime tells what was set from what is the default by the property being the object's own. */
function field([name, number, type, typeName, repeated, oneof, optional]: FieldLiteral): object {
  return Object.assign(Object.create(DEFAULTS), {
    name,
    number,
    type,
    jsonName: name.replace(/_./g, (letters) => letters.charAt(1).toUpperCase()),
    ...(typeName && { typeName: `.${PACKAGE}.${typeName}` }),
    ...(repeated && { label: 3 }),
    ...(oneof !== undefined && { oneofIndex: oneof }),
    ...(optional && { proto3Optional: true }),
  });
}

const PACKAGE = "gogochat.v1";
const DEFAULTS = { label: 1, typeName: "", extendee: "", defaultValue: "", oneofIndex: 0, jsonName: "", proto3Optional: false };
