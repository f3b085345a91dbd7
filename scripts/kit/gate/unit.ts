/** The unit tests as a gate: what takes seconds, needs no stack, and says that the code does what it says. */
import { join } from 'node:path'
import { runChild } from '../child.ts'
import { formatCounts, isCounts, isGreen } from '../counts.ts'
import { type Gate, npmVersion } from './gate.ts'

export const unit: Gate = {
  name: 'unit',
  // Some of them watch the clock.
  isAlone: true,
  checks: [
    {
      tool: 'uvu',
      source: 'npm',
      pin: 'package.json',
      about: 'the tests of test/unit',
      version: () => npmVersion('uvu'),
      async run({ root, signal }) {
        const lines: string[] = []
        const options = { args: ['unit'], onLine: (line: string) => lines.push(line), signal }
        const { message, exitCode } = await runChild(join(root, 'test', 'run.ts'), options)
        return readTests(lines, { message, exitCode })
      },
    },
  ],
}

/** A run of tests as problems: a file that failed each, and one that passed nothing. Exported for the tests. */
export function readTests(lines: readonly string[], { message, exitCode }: { message: unknown; exitCode: number | undefined }): string[] {
  const failed = lines.flatMap((line) => {
    const [, name, counts] = /^✗ (unit\/[\w-]+): (.*)$/.exec(line) ?? []
    return name === undefined ? [] : [`test/${name}.test.ts:1 — ${counts} — npm run test:unit -- ${name.slice('unit/'.length)}`]
  })
  if (failed.length > 0) return failed
  if (isCounts(message) && isGreen(message) && exitCode === 0) return []
  const said = isCounts(message) ? formatCounts(message) : `ended with exit code ${exitCode} and no result`
  return [`test/run.ts:1 — ${said} — npm run test:unit`]
}
