/** What several entries ask of the machine: each is asked once, with a time limit of its own. */
import { accessSync, constants } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { release } from 'node:os'
import { delimiter, join } from 'node:path'
import type { ClusterPlace } from '#core'
import { inspect, ROLE_LABEL } from '#kit/docker'
import { exec } from '#kit/exec'
import { DOCKER_HUB, type Reach, reachRegistries } from '#kit/hub'
import { type EngineAnswer, engineAnswer } from '../engine.ts'
import { IMAGE_VOLUME } from '../registry/registry.ts'

/** What `docker info` says, as far as anything here reads it. Podman and old engines leave some of it out. */
export interface EngineInfo {
  readonly Driver?: string
  readonly DriverStatus?: readonly (readonly [string, string])[] | null
  readonly DockerRootDir?: string
  readonly KernelVersion?: string
  readonly NCPU?: number
  readonly MemTotal?: number
  readonly CgroupVersion?: string
  readonly MemoryLimit?: boolean
  readonly CpuCfsQuota?: boolean
  readonly PidsLimit?: boolean
  readonly SecurityOptions?: readonly string[] | null
  readonly HttpProxy?: string
  readonly HttpsProxy?: string
  readonly NoProxy?: string
  readonly DefaultAddressPools?: readonly { readonly Base: string; readonly Size: number }[] | null
}

export interface Facts {
  /** Of the cluster that is, or will be, here. */
  readonly place: ClusterPlace
  readonly platform: NodeJS.Platform
  readonly env: Readonly<Record<string, string | undefined>>
  /** What a program prints. @throws where it is not there, fails, or does not end in time */
  run(program: string, args: readonly string[]): Promise<string>
  /** Where a program is on the PATH. */
  find(program: string): string | undefined
  /** A file's text, where it can be read. */
  text(path: string): Promise<string | undefined>
  engine(): Promise<EngineAnswer>
  /** @throws where the engine does not answer */
  info(): Promise<EngineInfo>
  /** Containers of nodes of ours that run; none where no engine answers. */
  nodes(): Promise<readonly string[]>
  /** Whether the engine's containers run on the kernel that this process sees: then its files and limits are the engine's too. */
  sharesKernel(): Promise<boolean>
  /** Docker Hub, and the others that images come from. */
  registries(): Promise<readonly Reach[]>
  /** Why Docker Hub does not answer, without which images are built; undefined where it does. */
  whyNoRegistry(): Promise<string | undefined>
  /** Whether there is an image store of an earlier run, so that perhaps nothing has to be pulled or built. */
  hasImages(): Promise<boolean>
  /** What was asked is asked again. */
  forget(): void
}

export const NO_ENGINE = 'no engine answers'

export interface FactsOptions {
  readonly place: ClusterPlace
  /** What a program gets by itself. */
  readonly askMs: number
  /** Hosts that images come from beside Docker Hub. @default none */
  readonly registries?: readonly string[]
}

/** This machine. */
export function createFacts({ place, askMs, registries: hosts = [] }: FactsOptions): Facts {
  const known = new Map<string, Promise<unknown>>()
  const once = <T>(key: string, ask: () => Promise<T>): Promise<T> => {
    const asked = (known.get(key) as Promise<T> | undefined) ?? ask()
    known.set(key, asked)
    return asked
  }
  const run = async (program: string, args: readonly string[]) => (await exec(program, args, { timeoutMs: askMs })).stdout
  const engine = () => once('engine', () => engineAnswer(askMs))
  const askInfo = async () => JSON.parse(await run('docker', ['info', '--format', '{{json .}}'])) as EngineInfo
  const info = () => once('info', async () => ((await engine()).running ? askInfo() : Promise.reject(new Error(NO_ENGINE))))
  const registries = () => once('registries', () => reachRegistries([...new Set([DOCKER_HUB, ...hosts])]))
  const nodes = () => run('docker', ['ps', '--filter', `label=${ROLE_LABEL}=node`, '--format', '{{.Names}}'])
  return {
    place,
    platform: process.platform,
    env: process.env,
    run,
    find: findProgram,
    text: (path) => readFile(path, 'utf8').catch(() => undefined),
    engine,
    info,
    nodes: () =>
      once('nodes', () =>
        nodes().then(
          (names) => names.split('\n').filter(Boolean),
          () => [],
        ),
      ),
    sharesKernel: async () => (await info()).KernelVersion === release(),
    registries,
    whyNoRegistry: async () => (await registries()).find(({ host }) => host === DOCKER_HUB)?.why,
    hasImages: () => once('images', async () => (await engine()).running && (await inspect('volume', IMAGE_VOLUME)) !== undefined),
    forget: () => known.clear(),
  }
}

function findProgram(program: string): string | undefined {
  const places = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, program))
  return places.find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
