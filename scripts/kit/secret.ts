/** Secrets of the cluster as text. */
import type { KubeObject, ObjectRef } from './kube.ts'

/** One that holds these values. */
export function secret({ apiVersion, kind, name, namespace }: ObjectRef, stringData: Readonly<Record<string, string>>): KubeObject {
  return { apiVersion, kind, metadata: { name, ...(namespace === undefined ? {} : { namespace }) }, stringData }
}

/** A value of one that was read; undefined where there is none, or it is empty. */
export function readSecret(found: KubeObject | undefined, key: string): string | undefined {
  return Buffer.from(found?.data?.[key] ?? '', 'base64').toString() || undefined
}
