/** JSON from outside: anything, or nothing. */

/** What a text or its UTF-8 bytes hold, or undefined where that is no JSON: JSON itself has no such value. */
export function parseJson(content: string | ArrayBuffer): unknown {
  try {
    return JSON.parse(typeof content === 'string' ? content : new TextDecoder('utf-8', { fatal: true }).decode(content))
  } catch {
    return undefined
  }
}

/** Whether it is an object with fields: no null, no array. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
