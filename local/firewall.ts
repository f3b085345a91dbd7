/** What an engine leaves in the kernel when it ends: rules, chains, a policy, bridges. Where it was ours, they go with it. */
import { readdir } from 'node:fs/promises'
import { hasProgram } from '#kit/debian'
import { exec } from '#kit/exec'

/** What was so before the engine was started. */
export interface KernelBefore {
  /** Of the chain FORWARD, by program; absent where the program is. */
  readonly forward: Readonly<Record<string, string>>
  readonly bridges: readonly string[]
}

const PROGRAMS = ['iptables', 'ip6tables']
const INTERFACES = '/sys/class/net'
const BRIDGE = /^(docker0|br-[0-9a-f]{12})$/
/** A rule in a chain of the kernel's that is the engine's: it leads to a chain of the engine's, or is about a bridge of its. */
const ENGINES = /^-A (?!DOCKER).* (-j DOCKER\S*|-[io] (docker0|br-[0-9a-f]{12}))( |$)/
/** The person's own: the engine makes it, and leaves nothing in it but this. */
const USER_CHAIN = 'DOCKER-USER'
const USER_RULE = /^-A DOCKER-USER (?!-j RETURN$)/

export async function lookAtKernel(): Promise<KernelBefore> {
  const found = await Promise.all(
    PROGRAMS.map(async (program) => {
      const filter = tablesIn(await rulesOf(program)).find(({ name }) => name === 'filter')
      return filter?.policy === undefined ? [] : [[program, filter.policy] as const]
    }),
  )
  return { forward: Object.fromEntries(found.flat()), bridges: await engineBridges() }
}

/** Rules, chains and bridges of an engine that are there, a line for each. */
export async function engineTraces(): Promise<string[]> {
  const rules = (
    await Promise.all(PROGRAMS.map(async (program) => traces(await rulesOf(program)).map((each) => `${program} ${each}`)))
  ).flat()
  return [...rules.map((each) => `rule ${each}`), ...(await engineBridges()).map((each) => `interface ${each}`)]
}

/** Takes away what the engine made since; what a person wrote into its chain stays, with the chain. */
export async function removeTraces(before: KernelBefore): Promise<void> {
  for (const program of PROGRAMS) {
    const script = removal(await rulesOf(program), before.forward[program])
    if (script !== '') await exec(`${program}-restore`, ['--noflush'], { input: script })
  }
  const bridges = (await engineBridges()).filter((each) => !before.bridges.includes(each))
  for (const bridge of bridges) await exec('ip', ['link', 'delete', bridge])
}

async function engineBridges(): Promise<string[]> {
  return (await readdir(INTERFACES).catch(() => [])).filter((name) => BRIDGE.test(name))
}

/** Empty where there is no such program, or nobody may ask it. */
async function rulesOf(program: string): Promise<string> {
  if (!(await hasProgram(`${program}-save`))) return ''
  return (await exec(`${program}-save`, [], { accept: [0, 1, 2, 3, 4, 111] })).stdout
}

interface Table {
  readonly name: string
  readonly policy: string | undefined
  /** Of the engine. */
  readonly chains: readonly string[]
  /** Of the engine, in other chains. */
  readonly rules: readonly string[]
}

function tablesIn(saved: string): Table[] {
  return saved.split(/^\*/m).flatMap((text) => {
    const [name = '', ...lines] = text.split('\n')
    if (!/^\w+$/.test(name)) return []
    const keepsUser = lines.some((line) => USER_RULE.test(line))
    const chains = lines.flatMap((line) => /^:(DOCKER\S*) /.exec(line)?.[1] ?? []).filter((chain) => !(keepsUser && chain === USER_CHAIN))
    const rules = lines.filter((line) => ENGINES.test(line) && !(keepsUser && line.endsWith(`-j ${USER_CHAIN}`)))
    return [{ name, policy: lines.flatMap((line) => /^:FORWARD (\w+)/.exec(line)?.[1] ?? [])[0], chains, rules }]
  })
}

/** What is the engine's in a saved rule set. */
export function traces(saved: string): string[] {
  return tablesIn(saved).flatMap(({ name, chains, rules }) =>
    [...rules, ...chains.map((chain) => `:${chain}`)].map((each) => `${name} ${each}`),
  )
}

/**
 * What `iptables-restore --noflush` is given to take it away, in one go for each table. Empty where there is nothing to do.
 * @param forward the policy to give back; the engine drops what it does not know.
 */
export function removal(saved: string, forward?: string): string {
  return tablesIn(saved)
    .map(({ name, policy, chains, rules }) => {
      const given = name === 'filter' && forward !== undefined && policy !== forward ? [`:FORWARD ${forward} [0:0]`] : []
      const gone = [
        ...rules.map((rule) => rule.replace('-A', '-D')),
        ...chains.map((each) => `-F ${each}`),
        ...chains.map((each) => `-X ${each}`),
      ]
      return given.length + gone.length === 0 ? '' : `${[`*${name}`, ...given, ...gone, 'COMMIT'].join('\n')}\n`
    })
    .join('')
}
