/** What became of each watched object in a round. */
import type { KubeObject } from '#kit/kube'
import { isChange, type Round } from '../scenario.ts'

/** The versions of one object, in time order; undefined once it is deleted. */
export interface History {
  readonly kind: string
  readonly name: string
  readonly versions: readonly Version[]
}

export interface Version {
  readonly atMs: number
  readonly object: KubeObject | undefined
}

/** Every watched object of a round. A pod is itself by its uid; anything else that is made again under its name stays the same. */
export function historiesOf({ before, events, startedAtMs }: Round): History[] {
  const first = before.map((object) => ({ object, version: { atMs: startedAtMs, object } }))
  const later = events.filter(isChange).map(({ type, object, atMs }) => ({
    object,
    version: { atMs: Math.max(atMs, startedAtMs), object: type === 'DELETED' ? undefined : object },
  }))
  const byKey = Map.groupBy([...first, ...later], ({ object }) => keyOf(object))
  return [...byKey.values()].map((all) => {
    const { kind, metadata } = (all[0] as (typeof all)[number]).object
    return { kind, name: metadata.name, versions: all.map(({ version }) => version).toSorted((a, b) => a.atMs - b.atMs) }
  })
}

function keyOf({ kind, metadata: { namespace, name, uid } }: KubeObject): string {
  return kind === 'Pod' ? `${uid}` : `${kind}/${namespace}/${name}`
}
