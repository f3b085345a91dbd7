/** Where reports are kept: beside the records that they are made of. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf, UserError } from '#kit/errors'
import { reportsDir } from '#kit/paths'
import { type Result, renderJson, renderJunit } from '../render.ts'
import { renderHtml } from './page.ts'

/** Writes the HTML of this run beside those of earlier ones, and JUnit and JSON over the last one's. @returns the HTML's path. */
export async function writeReports(results: readonly Result[]): Promise<string> {
  const folder = reportsDir()
  await writeFile(join(folder, 'results.json'), renderJson(results))
  await writeFile(join(folder, 'junit.xml'), renderJunit(results))
  return saveReport(renderHtml(results), reportPath(results))
}

/** The file of a report: named by when its first run began, and by what was run. */
export function reportPath(results: readonly Result[], what?: string): string {
  const names = new Set(results.map(({ record }) => record.scenario))
  const said = what ?? (names.size === 1 ? [...names][0] : `${names.size}-scenarios`)
  const began = results.map(({ record }) => record.startedAt).toSorted()[0] ?? 'nothing'
  return join(reportsDir(), `${began}-${said}.html`.replaceAll(/[^\w.-]+|\.(?!html$)/g, '-'))
}

/** @returns the path. @throws UserError where it cannot be written */
export async function saveReport(page: string, path: string): Promise<string> {
  await writeFile(path, page).catch((thrown) => {
    throw new UserError({ what: 'Cannot write the report', why: messageOf(thrown), next: 'Name another file with --out' })
  })
  return path
}
