/** IPv4 networks: what overlaps what. */

export interface Subnet {
  /** Address and length, as it was written. */
  readonly text: string
  readonly first: number
  readonly last: number
}

/** `10.42.0.0/16`; undefined for anything else, IPv6 too. */
export function subnetOf(text: string): Subnet | undefined {
  const [, a, b, c, d, length] = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text) ?? []
  const [bytes, bits] = [[a, b, c, d].map(Number), Number(length)]
  if (bytes.some((byte) => !(byte <= 255)) || !(bits <= 32)) return undefined
  const size = 2 ** (32 - bits)
  const address = bytes.reduce((sum, byte) => sum * 256 + byte, 0)
  const first = Math.floor(address / size) * size
  return { text, first, last: first + size - 1 }
}

export const overlaps = (a: Subnet, b: Subnet) => a.first <= b.last && b.first <= a.last
export const holds = (whole: Subnet, part: Subnet) => whole.first <= part.first && part.last <= whole.last

/** Every network of that length within another one. */
export function split(whole: Subnet, length: number): Subnet[] {
  const size = 2 ** (32 - length)
  const count = Math.max(1, (whole.last - whole.first + 1) / size)
  return Array.from({ length: count }, (_, i) => {
    const first = whole.first + i * size
    return { text: `${dotted(first)}/${length}`, first, last: first + size - 1 }
  })
}

const dotted = (address: number) => [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.')

/** Half of all addresses: a VPN lays two of them over the default route. */
export const isHalf = ({ first, last }: Subnet) => last - first + 1 >= 2 ** 31

export interface Route {
  readonly device: string
  readonly to: Subnet
}

/** The routes in the text of /proc/net/route but for the default one. Its numbers are little-endian. */
export function routesIn(text: string): Route[] {
  return text
    .trim()
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [device = '', destination = '', , , , , , mask = ''] = line.trim().split(/\s+/)
      const [address, bits] = [bytesOf(destination), bytesOf(mask)].map((bytes) => bytes.toReversed())
      const length = (bits ?? []).reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0)
      const to = subnetOf(`${address?.join('.')}/${length}`)
      return to === undefined || length === 0 ? [] : [{ device, to }]
    })
}

const bytesOf = (hex: string) => (hex.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16))
