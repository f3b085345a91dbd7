/** What a container was made with, and how that differs from what is wanted. */
import type { ClusterPlace } from '#core'
import type { ContainerInfo } from '#kit/docker'
import { CONFIG_LABEL, type NodeConfig } from './node-config.ts'
import { defaultPortsFrom, type PortMapping, portBlock } from './ports.ts'

export const labelledConfig = (found: ContainerInfo) => JSON.parse(found.Config.Labels[CONFIG_LABEL] ?? '{}') as NodeConfig

/** A block of ports, once chosen, stays the cluster's own until another is asked for. */
export async function portsOf({ name, portsFrom }: ClusterPlace, found: ContainerInfo | undefined): Promise<readonly PortMapping[]> {
  if (portsFrom === undefined && found !== undefined) return labelledConfig(found).ports
  return portBlock(portsFrom ?? (await defaultPortsFrom(name)))
}

/** One line for each setting that differs. */
export function differ(before: object, after: object): string[] {
  const [old, now] = [before as Record<string, unknown>, after as Record<string, unknown>]
  const keys = [...new Set([...Object.keys(old), ...Object.keys(now)])]
  return keys
    .filter((key) => JSON.stringify(old[key]) !== JSON.stringify(now[key]))
    .map((key) => `${key}: ${JSON.stringify(old[key])} → ${JSON.stringify(now[key])}`)
}
