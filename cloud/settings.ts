/** What a cluster in the cloud says of itself: a ConfigMap beside our journal, so that any machine that may read the cluster knows it. */

import type { Environment, Refs, TimingProfile } from '#core'
import { ENVIRONMENTS, HOLDFAST_NAMESPACE } from '#core'
import { Failure } from '#kit/errors'
import type { Kube } from '#kit/kube'

export interface Settings {
  readonly environment: Environment
  readonly timing: TimingProfile['name']
  /** ECR's address of each repository, by the image's own name. */
  readonly repositories: Readonly<Record<string, string>>
  /** The public name, with its certificate; absent: nothing is to be public. */
  readonly domain?: Readonly<Record<'host' | 'certificateArn', string>>
  /** What Argo CD reads, and the branches of it. */
  readonly repo: string
  readonly refs: Refs
  /** The secret of Secrets Manager with the key that reads it; absent for one that everybody may read. */
  readonly repoSecret?: string
}

const CONFIG_MAP = { apiVersion: 'v1', kind: 'ConfigMap', name: 'cloud', namespace: HOLDFAST_NAMESPACE }

/** Undefined where nothing of ours was installed yet. @throws Failure for settings of another version. */
export async function readSettings(kube: Kube): Promise<Settings | undefined> {
  const found = await kube.get(CONFIG_MAP)
  if (found === undefined) return undefined
  const settings = JSON.parse(found.data?.settings ?? '{}') as Partial<Settings>
  const isWhole =
    ENVIRONMENTS.some((each) => each === settings.environment) && settings.repositories !== undefined && settings.refs !== undefined
  if (isWhole) return settings as Settings
  throw new Failure({ what: 'Cannot use the cluster', why: 'its settings are of another version', next: 'Run npm run cloud:up' })
}

export async function writeSettings(kube: Kube, settings: Settings): Promise<void> {
  const { apiVersion, kind, name, namespace } = CONFIG_MAP
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' }
  await kube.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } })
  await kube.apply({ apiVersion, kind, metadata: { name, namespace }, data: { settings: JSON.stringify(settings, null, 2) } })
}
