/** What the service sells. */

export interface Product {
  readonly id: number
  readonly name: string
  readonly price: number
}

/** By id. A database is filled with them once, and has the last word from then on. */
export const PRODUCTS: readonly Product[] = [
  { id: 1, name: 'Anchor', price: 49.99 },
  { id: 2, name: 'Hawser', price: 99.99 },
  { id: 3, name: 'Windlass', price: 149.99 },
]
