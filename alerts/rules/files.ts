/** Rules and their tests as the files that promtool reads: the groups of a rule file, not the object around them. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { type ExecResult, exec } from '#kit/exec'
import type { KubeObject } from '#kit/kube'
import { tool } from '#kit/tools'
import { renderRules } from '../rules.ts'
import { type RuleTests, readRuleTests, retimeTests } from './promtool.ts'

export interface RuleSuite {
  readonly rules: readonly KubeObject[]
  readonly tests: ReadonlyMap<string, RuleTests>
}

/** The rules and their tests on a clock that runs so many times as fast. @param at a copy of this repository */
export function suiteAt(speedup: number, at?: string): RuleSuite {
  const tests = [...readRuleTests(at)].map(([file, each]) => [file, retimeTests(each, speedup)] as const)
  return { rules: renderRules({ speedup }, at), tests: new Map(tests) }
}

/** Lays a suite into a folder, which is made. @returns the paths of each */
export async function writeSuite(folder: string, { rules, tests }: RuleSuite): Promise<{ rules: string[]; tests: string[] }> {
  await mkdir(join(folder, 'tests'), { recursive: true })
  const save = async (path: string, content: unknown) => {
    await writeFile(path, stringify(content))
    return path
  }
  const testFiles = [...tests].map(([file, content]) => {
    const inFolder = { ...content, rule_files: content.rule_files.map((each) => `../${each}`) }
    return save(join(folder, 'tests', file), inFolder)
  })
  return {
    rules: await Promise.all(rules.map(({ metadata, spec }) => save(join(folder, `${metadata.name}.yaml`), spec))),
    tests: await Promise.all(testFiles),
  }
}

/** Its exit code is 1 or 3 where it found something. */
export async function promtool(args: readonly string[], signal?: AbortSignal): Promise<ExecResult> {
  return exec(await tool('promtool', signal), args, { accept: [0, 1, 3], signal })
}
