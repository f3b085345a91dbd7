/** What a person sees of a series: each result as it comes, then all of them, and where the report is. */
import type { Progress } from '#kit/progress'
import { headline, type Result, renderJson, renderTable } from '../render.ts'
import { writeReports } from './save.ts'

export interface Reporting {
  readonly progress: Progress
  /** JSON on stdout instead of a table. @default false */
  readonly json?: boolean
}

/** Works, and reports what it told; also of a series that is cut short. @returns the results. @throws what the work throws */
export async function reporting(
  work: (onResult: (result: Result) => void) => Promise<void>,
  { progress, json = false }: Reporting,
): Promise<readonly Result[]> {
  const results: Result[] = []
  try {
    await work((result) => {
      results.push(result)
      progress.say(headline(result))
    })
  } finally {
    if (results.length > 0) {
      process.stdout.write(`${json ? renderJson(results) : renderTable(results)}\n`)
      progress.say(`Report: ${await writeReports(results)}`)
    }
  }
  return results
}
