/**
 * The pins that Renovate would find by `renovate.json`, as far as its documentation says how it looks: https://docs.renovatebot.com/modules/manager/
 * Renovate itself is not run.
 */
import { readFile } from 'node:fs/promises'
import { join, matchesGlob } from 'node:path'
import { parse } from 'yaml'
import { readTexts, type TextFile } from '#kit/files'
import { root } from '#kit/paths'

export interface CustomManager {
  readonly description: string
  readonly managerFilePatterns: readonly string[]
  readonly matchStrings: readonly string[]
  readonly matchStringsStrategy?: 'recursive'
  readonly depNameTemplate?: string
  readonly datasourceTemplate: string
}

export interface PackageRule {
  readonly description: string
  readonly groupName?: string
  readonly enabled?: boolean
  readonly matchManagers?: readonly string[]
  readonly matchFileNames?: readonly string[]
  readonly matchDatasources?: readonly string[]
  readonly matchDepTypes?: readonly string[]
  readonly matchUpdateTypes?: readonly string[]
  readonly matchPackageNames?: readonly string[]
}

export interface RenovateConfig {
  readonly enabledManagers: readonly string[]
  readonly ignorePaths: readonly string[]
  readonly kubernetes: { readonly managerFilePatterns: readonly string[] }
  readonly customManagers: readonly CustomManager[]
  readonly packageRules: readonly PackageRule[]
}

export interface Pin {
  readonly path: string
  /** From and to where in the file it is read; a replaced version is replaced everywhere within. */
  readonly span: readonly [number, number]
  readonly manager: string
  readonly name: string
  readonly value: string
  readonly datasource?: string
  readonly depType?: string
}

export const readRenovate = async () => JSON.parse(await readFile(join(root, 'renovate.json'), 'utf8')) as RenovateConfig

/** Everything that is found in the tree, in the order of the managers. */
export async function findPins(config: RenovateConfig): Promise<readonly Pin[]> {
  const files = await readTexts(root, (path) => !config.ignorePaths.some((pattern) => matchesGlob(path, pattern)))
  return files.flatMap((file) => [
    ...config.customManagers.flatMap((manager) => (isIn(manager, file) ? customPins(manager, file) : [])),
    ...config.enabledManagers.flatMap((manager) => BUILT_IN[manager]?.(file, config) ?? []),
  ])
}

export const isIn = ({ managerFilePatterns }: Pick<CustomManager, 'managerFilePatterns'>, { path }: TextFile) =>
  managerFilePatterns.some((pattern) => new RegExp(pattern.slice(1, -1)).test(path))

function customPins(manager: CustomManager, { path, text }: TextFile): Pin[] {
  return matchesOf(manager.matchStrings, { text, isRecursive: manager.matchStringsStrategy === 'recursive' }).map(({ groups, span }) => {
    const name = groups.depName ?? nameFrom(manager.depNameTemplate ?? '', groups)
    return { path, span, manager: manager.description, name, value: groups.currentValue ?? '', datasource: manager.datasourceTemplate }
  })
}

interface Found {
  readonly groups: Readonly<Record<string, string>>
  readonly span: readonly [number, number]
}

/** Of a recursive manager each expression looks within what the one before it has matched. */
function matchesOf([first = '', ...inner]: readonly string[], { text, isRecursive }: { text: string; isRecursive: boolean }): Found[] {
  const here = [...text.matchAll(new RegExp(first, 'g'))].map((match): Found => {
    const { index, groups = {} } = match
    return { groups, span: [index, index + match[0].length] }
  })
  if (inner.length === 0) return here
  if (!isRecursive) return [...here, ...matchesOf(inner, { text, isRecursive })]
  return here.flatMap(({ groups, span: [from, to] }) =>
    matchesOf(inner, { text: text.slice(from, to), isRecursive }).map((found) => ({
      groups: { ...groups, ...found.groups },
      span: [from + found.span[0], from + found.span[1]],
    })),
  )
}

/** The one template of ours that asks anything: `{{#if (equals program 'a')}}x{{else}}y{{/if}}`. */
function nameFrom(template: string, groups: Found['groups']): string {
  const [, group = '', wanted, yes = '', no = ''] =
    /^\{\{#if \(equals (\w+) '([^']+)'\)\}\}(.+)\{\{else\}\}(.+)\{\{\/if\}\}$/.exec(template) ?? []
  if (wanted === undefined) return template
  return groups[group] === wanted ? yes : no
}

type Look = (file: TextFile, config: RenovateConfig) => readonly Pin[]

const BUILT_IN: Readonly<Record<string, Look>> = {
  npm: (file) => (file.path === 'package.json' ? packagePins(file) : []),
  gomod: (file) => (file.path.endsWith('go.mod') ? modulePins(file) : []),
  'github-actions': (file) => (/^\.github\/workflows\/.+\.yml$/.test(file.path) ? workflowPins(file) : []),
  terraform: (file) =>
    file.path.endsWith('.tf') ? lines(file, 'terraform', /source\s+= "(?<name>[\w-]+\/[\w-]+)"\s+version = "(?<value>[^"]+)"/g) : [],
  kubernetes: (file, { kubernetes }) =>
    isIn(kubernetes, file)
      ? lines(file, 'kubernetes', /image: (?<name>[^\s:]+):(?<value>[^\s@]+)/g).map((pin) => ({ ...pin, datasource: 'docker' }))
      : [],
}

function lines({ path, text }: TextFile, manager: string, pattern: RegExp): Pin[] {
  return [...text.matchAll(pattern)].map(({ 0: whole, index, groups = {} }) => {
    const { name = '', value = '', depType }: Readonly<Record<string, string | undefined>> = groups
    return { path, span: [index, index + whole.length], manager, name, value, ...(depType === undefined ? {} : { depType }) }
  })
}

function packagePins(file: TextFile): Pin[] {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(file.text) as Record<string, Readonly<Record<string, string>>>
  return Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies }).map(([name, value]) => {
    const index = file.text.indexOf(`"${name}": "${value}"`)
    return { path: file.path, span: [index, index + name.length + value.length + 6], manager: 'npm', name, value }
  })
}

/** What a go.mod requires and replaces; `tool` lines name no version. */
function modulePins(file: TextFile): Pin[] {
  const required = /^(?:require )?\s*(?<name>[\w.-]+\.[\w.-]+\/\S+) (?<value>v\S+)(?: \/\/ (?<depType>indirect))?$/gm
  const replaced = /^replace \S+ => (?<name>\S+) (?<value>v\S+)$/gm
  return [...lines(file, 'gomod', required), ...lines(file, 'gomod', replaced)]
}

/** Actions by their commit, and the versions that the known ones among them are given. */
function workflowPins(file: TextFile): Pin[] {
  const actions = lines(file, 'github-actions', /uses: (?<name>[\w-]+\/[\w-]+)@[0-9a-f]{40} # (?<value>v[\d.]+)/g)
  const given = lines(file, 'github-actions', /(?<name>go|node|terraform)[-_]version: '?(?<value>[\d.]+)/g)
  const { jobs = {} } = parse(file.text) as { jobs?: Readonly<Record<string, { readonly 'runs-on': string }>> }
  const runners = Object.values(jobs).map(({ 'runs-on': runner }): Pin => {
    return { path: file.path, span: [0, 0], manager: 'github-actions', name: 'runner', value: runner, depType: 'github-runner' }
  })
  return [...actions, ...given, ...runners]
}

/** The rules that are about a pin, in their order: of what they say the last one counts. */
export function rulesFor(pin: Pin, { packageRules }: RenovateConfig): readonly PackageRule[] {
  const { path, manager, name, datasource = '', depType = '' } = pin
  const among = (allowed: readonly string[] | undefined, value: string) => allowed === undefined || allowed.includes(value)
  return packageRules.filter(
    (rule) =>
      among(rule.matchManagers, manager) &&
      among(rule.matchFileNames, path) &&
      among(rule.matchDatasources, datasource) &&
      among(rule.matchDepTypes, depType) &&
      (rule.matchPackageNames === undefined || isNamed(name, rule.matchPackageNames)),
  )
}

/** A pattern with `!` takes out; where there are only such, all else is meant. */
export function isNamed(name: string, patterns: readonly string[]): boolean {
  const [without, named] = [patterns.filter((each) => each.startsWith('!')), patterns.filter((each) => !each.startsWith('!'))]
  if (without.some((pattern) => matchesGlob(name, pattern.slice(1)))) return false
  return named.length === 0 || named.some((pattern) => matchesGlob(name, pattern))
}

/** Whether it is raised at all; one that is not raised but by a new digest counts as raised. */
export function isRaised(pin: Pin, config: RenovateConfig): boolean {
  const said = rulesFor(pin, config).flatMap(({ enabled, matchUpdateTypes }) =>
    matchUpdateTypes === undefined && enabled !== undefined ? [enabled] : [],
  )
  return said.at(-1) ?? true
}
