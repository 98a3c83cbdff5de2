import { real } from '../method/option-table.js'

/** Of gates that divide the score by it. */
export const temperature = real({ min: 1e-8, max: 1e9 }, 1, 'Divides the score; larger is closer to uniform.')
