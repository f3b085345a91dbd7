/** The policies of the environments, as their files have them. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { objectsOf } from '#core'
import type { KubeObject } from '#kit/kube'

export interface Policy {
  readonly name: string
  /** As its file has them: the policy and its binding. */
  readonly objects: readonly KubeObject[]
}

/** Those in `chart/policies` of a copy of this repository. */
export async function readPolicies(root: string): Promise<Policy[]> {
  const folder = join(root, 'chart', 'policies')
  const files = (await readdir(folder)).filter((name) => name.endsWith('.yaml')).sort()
  return Promise.all(
    files.map(async (file) => ({ name: file.replace(/\.yaml$/, ''), objects: objectsOf(await readFile(join(folder, file), 'utf8')) })),
  )
}
