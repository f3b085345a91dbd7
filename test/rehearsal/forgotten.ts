/**
 * What moto takes and does not give back, so that a second plan would set it again and again; and what it would enforce without its
 * conditions: a bucket's policy that demands TLS would shut out everybody here. It is kept as it came.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

/** Subresources of a bucket that are given back word for word. */
const WHOLE = ['lifecycle', 'policy']
/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html */
const HEADERS = { 'x-amz-transition-default-minimum-object-size': 'all_storage_classes_128K' }

/** A launch template's own tags, which moto takes for those of what is launched from it. */
const OWN_TAGS = /<item>\s*<resourceType>launch-template<\/resourceType>.*?<\/tagSet>\s*<\/item>/gs

/** An answer of moto's without what AWS would not say. */
export function mended(content: Buffer): Buffer {
  const text = content.toString()
  return text.includes('<DescribeLaunchTemplateVersionsResponse') ? Buffer.from(text.replaceAll(OWN_TAGS, '')) : content
}

export class Forgotten {
  readonly #kept = new Map<string, Buffer>()

  /** @returns whether this answered. */
  answers(request: IncomingMessage, response: ServerResponse, body: Buffer): boolean {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://double')
    const name = WHOLE.find((each) => searchParams.has(each))
    if (name === undefined) return false
    const key = `${pathname.replace(/\/$/, '')}?${name}`
    if (request.method === 'PUT') this.#kept.set(key, body)
    const kept = this.#kept.get(key)
    if (request.method === 'DELETE') this.#kept.delete(key)
    if (kept === undefined) return false
    response.writeHead(request.method === 'DELETE' ? 204 : 200, HEADERS)
    response.end(request.method === 'GET' ? kept : undefined)
    return true
  }
}
