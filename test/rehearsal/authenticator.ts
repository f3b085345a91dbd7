/**
 * Who a token of `aws eks get-token` is from: a presigned question to STS who is asking, bound to one cluster by a header that is signed and
 * not sent along (https://github.com/kubernetes-sigs/aws-iam-authenticator). What STS would check, the signature, is checked here.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

const PREFIX = 'k8s-aws-v1.'
const CLUSTER_HEADER = 'x-k8s-aws-id'
/** The authenticator refuses older ones, whatever their signature says. */
const MAX_AGE_MS = 15 * 60_000
const EMPTY_HASH = createHash('sha256').update('').digest('hex')

/** @returns the presigned address where the token is good for that cluster, else why it is not. */
export function checkToken(token: string, cluster: string, credentials: Credentials): { readonly problem?: string } {
  if (!token.startsWith(PREFIX)) return { problem: 'it is no token of aws eks get-token' }
  const text = Buffer.from(token.slice(PREFIX.length), 'base64url').toString()
  if (!URL.canParse(text)) return { problem: 'it holds no address' }
  const url = new URL(text)
  const value = (name: string) => url.searchParams.get(name) ?? ''
  if (value('Action') !== 'GetCallerIdentity') return { problem: `it asks for '${value('Action')}'` }
  const signed = value('X-Amz-SignedHeaders').split(';')
  if (!signed.includes(CLUSTER_HEADER)) return { problem: `its signature leaves ${CLUSTER_HEADER} out` }
  const ageMs = Date.now() - Date.parse(value('X-Amz-Date').replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
  if (!(ageMs > -MAX_AGE_MS && ageMs < MAX_AGE_MS)) return { problem: 'it has expired' }
  const [keyId, date = '', region = '', service = ''] = value('X-Amz-Credential').split('/')
  if (keyId !== credentials.accessKeyId) return { problem: `its key '${keyId}' is not known` }
  const wanted = signatureOf(url, {
    headers: { host: url.host, [CLUSTER_HEADER]: cluster },
    scope: [date, region, service],
    signed,
    credentials,
  })
  return equal(wanted, value('X-Amz-Signature')) ? {} : { problem: `it is not signed for the cluster '${cluster}'` }
}

interface Signing {
  readonly headers: Readonly<Record<string, string>>
  readonly signed: readonly string[]
  readonly scope: readonly string[]
  readonly credentials: Credentials
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html */
function signatureOf(url: URL, { headers, signed, scope, credentials }: Signing): string {
  const query = [...url.searchParams]
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&')
  const lines = signed.map((name) => `${name}:${headers[name] ?? ''}\n`).join('')
  const request = ['GET', url.pathname, query, lines, signed.join(';'), EMPTY_HASH].join('\n')
  const hash = createHash('sha256').update(request).digest('hex')
  const text = ['AWS4-HMAC-SHA256', url.searchParams.get('X-Amz-Date'), [...scope, 'aws4_request'].join('/'), hash].join('\n')
  const hmac = (key: string | Buffer, content: string) => createHmac('sha256', key).update(content).digest()
  const key = [...scope, 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${credentials.secretAccessKey}`)
  return hmac(key, text).toString('hex')
}

const encode = (text: string) => encodeURIComponent(text).replace(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`)

function equal(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}
