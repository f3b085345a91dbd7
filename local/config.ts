/** What a container was made with, and how that differs from what is wanted. */
import type { ContainerInfo } from '#kit/docker'
import { CONFIG_LABEL, type NodeConfig } from './node-container.ts'

export const labelledConfig = (found: ContainerInfo) => JSON.parse(found.Config.Labels[CONFIG_LABEL] ?? '{}') as NodeConfig

/** One line for each setting that differs. */
export function differ(before: object, after: object): string[] {
  const [old, now] = [before as Record<string, unknown>, after as Record<string, unknown>]
  const keys = [...new Set([...Object.keys(old), ...Object.keys(now)])]
  return keys
    .filter((key) => JSON.stringify(old[key]) !== JSON.stringify(now[key]))
    .map((key) => `${key}: ${JSON.stringify(old[key])} → ${JSON.stringify(now[key])}`)
}
