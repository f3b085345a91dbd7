/** Slack's incoming-webhook form, as Alertmanager sends it: one attachment with a title, a text and fields. */
import { isRecord } from './json.ts'
import { type Notification, STATES, type State } from './message.ts'

/** Slack's own words for a body that it refuses. */
export type Refusal = 'invalid_payload' | 'no_text'

interface Attachment {
  readonly title: string
  readonly text: string
  readonly fallback: string
  readonly fields: readonly Field[]
}

interface Field {
  readonly title: string
  readonly value: string
}

/** Whatever is sent, a kept message has at most some 7,000 characters: the whole history fits into a small heap. */
const MAX_CHARS = { title: 1024, text: 3000, word: 200, fingerprint: 32 }
const MAX_FINGERPRINTS = 64
const SUBJECT = /^\s*\[(firing|resolved)(?::\d+)?\]\s*(\S*)/i

class Malformed extends Error {}

/** @returns what the body says, or why Slack would refuse it */
export function readNotification(body: unknown): Notification | Refusal {
  try {
    if (!isRecord(body)) return 'invalid_payload'
    const attachments = listOf(body.attachments).map(readAttachment)
    const notification = derive({ channel: textOf(body.channel), text: textOf(body.text), attachments })
    const isEmpty = notification.title === '' && notification.text === '' && attachments.every(({ fields }) => fields.length === 0)
    return isEmpty ? 'no_text' : notification
  } catch (thrown) {
    if (thrown instanceof Malformed) return 'invalid_payload'
    throw thrown
  }
}

interface Parsed {
  readonly channel: string
  readonly text: string
  readonly attachments: readonly Attachment[]
}

/** The fields say it exactly; the title is for people, and for senders without fields. */
function derive({ channel, text, attachments }: Parsed): Notification {
  const title = attachments.find((each) => each.title !== '')?.title ?? ''
  const texts = [text, ...attachments.map((each) => each.text)].filter((each) => each !== '')
  const fallback = attachments.find((each) => each.fallback !== '')?.fallback ?? ''
  const fields = fieldsOf(attachments)
  const [, titleState = '', titleAlert = ''] = SUBJECT.exec(title) ?? []
  return {
    channel: wordOf(channel),
    title: cut(title, MAX_CHARS.title),
    text: cut(texts.join('\n') || fallback, MAX_CHARS.text),
    alert: wordOf(fields.get('alert')) ?? wordOf(titleAlert),
    state: stateOf(fields.get('status')) ?? stateOf(titleState),
    severity: wordOf(fields.get('severity')),
    fingerprints: fingerprintsOf(fields.get('fingerprints') ?? ''),
  }
}

function readAttachment(value: unknown): Attachment {
  if (!isRecord(value)) throw new Malformed()
  const text = [textOf(value.pretext), textOf(value.text)].filter((each) => each !== '').join('\n')
  return { title: textOf(value.title), text, fallback: textOf(value.fallback), fields: listOf(value.fields).map(readField) }
}

function readField(value: unknown): Field {
  if (!isRecord(value)) throw new Malformed()
  return { title: textOf(value.title).toLowerCase(), value: textOf(value.value) }
}

/** The first of a name counts; one without a value says nothing. */
function fieldsOf(attachments: readonly Attachment[]): ReadonlyMap<string, string> {
  const fields = attachments.flatMap((each) => each.fields).filter(({ value }) => value !== '')
  return new Map(fields.toReversed().map(({ title, value }) => [title, value]))
}

function fingerprintsOf(value: string): readonly string[] {
  const all = value.split(/[\s,]+/).filter((each) => each !== '')
  return [...new Set(all)].slice(0, MAX_FINGERPRINTS).map((each) => cut(each, MAX_CHARS.fingerprint))
}

function stateOf(word: string | undefined): State | null {
  return STATES.find((state) => state === word?.toLowerCase()) ?? null
}

function wordOf(value: string | undefined): string | null {
  return value === undefined || value === '' ? null : cut(value, MAX_CHARS.word)
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (typeof value !== 'string') throw new Malformed()
  return value.trim()
}

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw new Malformed()
  return value
}

function cut(value: string, maxChars: number): string {
  const short = value.length <= maxChars ? value : `${value.slice(0, maxChars - 1)}…`
  return short.toWellFormed()
}
