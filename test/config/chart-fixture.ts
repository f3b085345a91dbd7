/** The chart as helm renders it. */
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import type { Cluster, Target } from '#core'
import type { KubeObject } from '#kit/kube'
import { tool } from '#kit/tools'

const execute = promisify(execFile)

export const CHART = fileURLToPath(new URL('../../chart/', import.meta.url))
export const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`
export const WITH_DIGEST = ['--set', `image.digest=${DIGEST}`]
/** The first use may build helm. */
export const BUILD = { timeoutMs: 600_000 }

export const timingOf = (speedup: number) => ({ speedup, hpa: { scaleInWindowMs: 300_000 / speedup } }) as Target['timing']
export const TARGET = { cluster: { kind: 'eks' } as Cluster, timing: timingOf(1), repoUrl: 'http://git/x.git', images: new Map() }

export const valuesFiles = readdirSync(CHART).filter((name) => /^values.*\.yaml$/.test(name))

/** What helm prints. @throws with what it said where it ends badly. */
export async function helm(...args: readonly string[]): Promise<string> {
  const { stdout } = await execute(await tool('helm'), [...args], { env: { ...process.env, HELM_NO_PLUGINS: '1' } })
  return stdout
}

/** The chart's YAML as the release `service` in `dev`. */
export function render(...args: readonly string[]): Promise<string> {
  return helm('template', 'service', CHART, '--namespace', 'dev', ...args)
}

/** What is rendered, in helm's order. */
export async function renderedObjects(...args: readonly string[]): Promise<KubeObject[]> {
  return parseAllDocuments(await render(...args)).map((document) => {
    const [error] = document.errors
    if (error !== undefined) throw error // a key that stands twice, of which the last would win
    return document.toJS() as KubeObject
  })
}

/** What is rendered by kind; the metrics' own Service as `MetricsService`. */
export async function objects(...args: readonly string[]): Promise<Record<string, KubeObject>> {
  const rendered = await renderedObjects(...args)
  return Object.fromEntries(rendered.map((each) => [each.metadata.name === 'service-metrics' ? 'MetricsService' : each.kind, each]))
}

/** What is at a path such as `spec.template.spec.containers.0.image`. */
export function at(from: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], from)
}
