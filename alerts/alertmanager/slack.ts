/** The one address outside: it comes from the environment or a file that Git ignores, and goes into a Secret, never into Git. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cluster, Run } from '#core'
import { UserError } from '#kit/errors'
import { root } from '#kit/paths'
import { MONITORING_NAMESPACE } from '../operator/part.ts'

export const SLACK_SECRET = 'alertmanager-slack'
const VARIABLE = 'HOLDFAST_SLACK_URL'
const FILE = '.holdfast-slack-url'
const SECRET = { apiVersion: 'v1', kind: 'Secret', name: SLACK_SECRET, namespace: MONITORING_NAMESPACE }

/**
 * The address of Slack's incoming webhook, where one was given.
 * @throws UserError for anything but an https address; it does not repeat what it read.
 */
export async function slackUrl(): Promise<string | undefined> {
  const fromVariable = process.env[VARIABLE]?.trim() || undefined
  const found = fromVariable ?? ((await readFile(join(root, FILE), 'utf8').catch(ifMissing))?.trim() || undefined)
  if (found === undefined || URL.parse(found)?.protocol === 'https:') return found
  const source = fromVariable === undefined ? `the file ${FILE}` : `the variable ${VARIABLE}`
  throw new UserError({ what: 'Cannot use the address of Slack', why: `${source} holds no https:// address` })
}

/** Lays the address into the cluster, or takes it away where none is given. */
export async function prepareSlack({ kube }: Cluster, { progress }: Pick<Run, 'progress'>): Promise<void> {
  const url = await slackUrl()
  if (url === undefined) return void (await kube.delete(SECRET))
  if (await othersMayRead()) progress.say(`  ${FILE} can be read by others on this machine: chmod 600 ${FILE}`)
  const { apiVersion, kind, name, namespace } = SECRET
  await kube.apply({ apiVersion, kind, metadata: { name, namespace }, stringData: { url } })
}

async function othersMayRead(): Promise<boolean> {
  const file = await stat(join(root, FILE)).catch(ifMissing)
  return file !== undefined && process.platform !== 'win32' && (file.mode & 0o077) !== 0
}

function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
