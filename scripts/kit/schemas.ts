/**
 * Schemas of the Kubernetes that the node runs, as strict as `kubectl apply --validate=strict` and without a server. Nothing is downloaded
 * for it: they lie in the Go module that the node is built from, and a CRD brings its own.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { goModuleDir } from './go.ts'
import type { KubeObject } from './kube.ts'

/** As far as this file looks into one. */
export interface Schema {
  readonly type?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly additionalProperties?: Schema | boolean
  readonly enum?: readonly string[]
  readonly pattern?: string
  readonly $ref?: string
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean
  readonly 'x-kubernetes-group-version-kind'?: readonly { readonly group: string; readonly version: string; readonly kind: string }[]
  readonly [keyword: string]: unknown
}

type Schemas = Readonly<Record<string, Schema>>
/** The values of fields, as `io.k8s.api.core.v1.ServiceSpec.type`. */
type Enums = ReadonlyMap<string, readonly string[]>

const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'
const CORE = 'v1'

/** A schema that stands alone: all that it refers to is inside. */
export type SchemaOf = (gvk: Gvk) => Promise<Schema>

/** @param definitions CustomResourceDefinitions of the kinds that Kubernetes itself does not have */
export async function createSchemas(definitions: readonly KubeObject[]): Promise<SchemaOf> {
  const folder = await goModuleDir('local/node', 'k8s.io/kubernetes')
  const enums = readEnums(await readFile(join(folder, 'pkg/generated/openapi/zz_generated.openapi.go'), 'utf8'))
  return async ({ apiVersion, kind }) => {
    const custom = customSchema(definitions, { apiVersion, kind })
    const schemas = withEnums(await readSchemas(folder, custom === undefined ? apiVersion : CORE), enums)
    return schemaOfKind(custom === undefined ? schemas : { ...schemas, [kind]: custom }, { apiVersion, kind })
  }
}

export type Gvk = Pick<KubeObject, 'apiVersion' | 'kind'>

async function readSchemas(folder: string, apiVersion: string): Promise<Schemas> {
  const name = apiVersion.includes('/') ? `apis__${apiVersion.replace('/', '__')}` : `api__${apiVersion}`
  const text = await readFile(join(folder, 'api/openapi-spec/v3', `${name}_openapi.json`), 'utf8')
  return (JSON.parse(text) as { components: { schemas: Schemas } }).components.schemas
}

/** A definition says nothing about metadata, and need not name its kind: every kind has these alike. */
function customSchema(definitions: readonly KubeObject[], { apiVersion, kind }: Gvk): Schema | undefined {
  const [group, version] = apiVersion.split('/')
  const definition = definitions.find(({ spec }) => spec.group === group && spec.names.kind === kind)
  const schema = definition?.spec.versions.find((each: { name: string }) => each.name === version)?.schema.openAPIV3Schema as
    | Schema
    | undefined
  if (schema === undefined) return undefined
  const gvk = [{ group: group ?? '', version: version ?? '', kind }]
  const named = { apiVersion: { type: 'string' }, kind: { type: 'string' } }
  const properties = { ...named, ...schema.properties, metadata: { $ref: refTo(OBJECT_META) } }
  return { ...schema, properties, 'x-kubernetes-group-version-kind': gvk }
}

const refTo = (name: string) => `#/components/schemas/${name}`

/** Schemas leave the fields that they do not name open, which would let a misspelt one pass. */
export function closed(schema: Schema): Schema {
  const { properties, items, additionalProperties, pattern } = schema
  const isOpen = additionalProperties !== undefined || schema['x-kubernetes-preserve-unknown-fields'] === true
  return {
    ...schema,
    ...(pattern === undefined ? {} : { pattern: inJavaScript(pattern) }),
    ...(properties === undefined ? {} : { properties: mapValues(properties, closed) }),
    ...(properties === undefined || schema.type !== 'object' || isOpen ? {} : { additionalProperties: false }),
    ...(items === undefined ? {} : { items: closed(items) }),
    ...(typeof additionalProperties === 'object' ? { additionalProperties: closed(additionalProperties) } : {}),
  }
}

/** Go writes a flag that holds from there on as `(?i)`; JavaScript has it only around a group. */
function inJavaScript(pattern: string): string {
  return pattern.replace(/^\^\(\?i\)(.*)\$$/, '^(?i:$1)$')
}

function mapValues<T>(from: Readonly<Record<string, T>>, change: (value: T, key: string) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(from).map(([key, value]) => [key, change(value, key)]))
}

/** The published schemas say of an enum only that it is a string; the code that they are made by knows its values. */
export function readEnums(goCode: string): Enums {
  const enums = new Map<string, string[]>()
  let [type, field] = ['', '']
  for (const line of goCode.split('\n')) {
    type = typeOf(line) ?? type
    field = /^\t{5}"(.+)": \{$/.exec(line)?.[1] ?? field
    const values = /^\t+Enum: +\[\]interface\{\}\{(.+)\},$/.exec(line)?.[1]
    if (values !== undefined) enums.set(`${type}.${field}`, JSON.parse(`[${values}]`) as string[])
  }
  return enums
}

/** `schema_k8sio_api_core_v1_Pod` is `io.k8s.api.core.v1.Pod`. */
function typeOf(line: string): string | undefined {
  const [, group, version, name] = /^func schema_k8sio_api_([a-z]+)_(v\w+?)_(\w+)\(/.exec(line) ?? []
  return group === undefined ? undefined : `io.k8s.api.${group}.${version}.${name}`
}

function withEnums(schemas: Schemas, enums: Enums): Schemas {
  return mapValues(schemas, (schema, type) => {
    if (schema.properties === undefined) return schema
    const withValues = (property: Schema, field: string): Schema => {
      const values = enums.get(`${type}.${field}`)
      if (values === undefined) return property
      return property.items === undefined ? { ...property, enum: values } : { ...property, items: { ...property.items, enum: values } }
    }
    return { ...schema, properties: mapValues(schema.properties, withValues) }
  })
}

/** @throws where there is no such kind */
function schemaOfKind(schemas: Schemas, { apiVersion, kind }: Gvk): Schema {
  const [group = '', version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion]
  const isIt = (schema: Schema) =>
    schema['x-kubernetes-group-version-kind']?.some((each) => each.group === group && each.version === version && each.kind === kind)
  const [name] = Object.entries(schemas).find(([, schema]) => isIt(schema)) ?? []
  if (name === undefined) throw new Error(`Cannot validate ${kind}: ${apiVersion} has no such kind`)
  return { $ref: refTo(name), components: { schemas: mapValues(schemas, closed) } }
}
