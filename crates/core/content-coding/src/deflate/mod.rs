//! DEFLATE (RFC 1951) for what is small and in memory as a whole, made to be quick.
//!
//! The content is parsed once into tokens (`tokens`), each the most recent match or a literal; what they are written with is one pair of Huffman
//! codes made for just this content (`huffman`), in one block. What libdeflate does better at its quickest level it pays for with a table of 128 KiB
//! to be cleared and two looks and an insertion for each byte: the most of what a file of 50 KiB costs.

mod bits;
mod huffman;
mod tokens;

use self::bits::BitWriter;
use self::huffman::{Code, END, EXTRA_OF_LENGTH, LENGTHS, LITERALS, write_codes};
use self::tokens::Token;

pub(crate) use self::tokens::{CONTENT_MAX, Parser};

/// Writes all of `content`, at most [`CONTENT_MAX`] bytes, as one DEFLATE stream to `out` and gives its length. `None` when `out` is not longer than that
/// by eight bytes.
pub(crate) fn deflate(parser: &mut Parser, content: &[u8], out: &mut [u8]) -> Option<usize> {
    let tokens = parser.parse(content);
    let literals = Code::of(&tokens.symbols, huffman::LITERAL_BITS_MAX);
    let distances = Code::of(&tokens.distances, huffman::DISTANCE_BITS_MAX);
    let mut bits = BitWriter::new(out);
    // The last block, with codes of its own (§3.2.3).
    bits.add(0b1, 1);
    bits.add(0b10, 2);
    write_codes(&mut bits, &literals, &distances)?;
    let words = words_of(&literals);
    for token in tokens.list {
        let (word, word_bits) = words[token.word()];
        bits.add(u64::from(word), word_bits.into());
        // A literal has the distance's place too, with a code of no bits.
        let (code, code_bits, extra_bits) = distances.distance(token.distance_symbol());
        bits.add(code | u64::from(token.distance_extra()) << code_bits, code_bits + extra_bits);
        bits.flush()?;
    }
    let (code, code_bits) = literals.bits(END);
    bits.add(code.into(), code_bits.into());
    bits.flush()?;
    Some(bits.finish())
}

/// What is written for each literal, and for each length its code with the bits behind it: at most 14 and 5.
fn words_of(code: &Code<{ huffman::SYMBOLS }>) -> [(u32, u8); Token::WORDS] {
    let mut words = [(0, 0); Token::WORDS];
    for (literal, word) in words[..LITERALS].iter_mut().enumerate() {
        let (bits, count) = code.bits(literal);
        *word = (bits.into(), count);
    }
    for (symbol, (first, extra)) in LENGTHS.iter().zip(EXTRA_OF_LENGTH).enumerate() {
        let (bits, count) = code.bits(END + 1 + symbol);
        let last = LENGTHS.get(symbol + 1).map_or(tokens::MATCH_MAX + 1, |next| usize::from(*next));
        for length in usize::from(*first)..last {
            let rest = (length - usize::from(*first)) as u32;
            words[Token::word_of_length(length)] = (u32::from(bits) | rest << count, count + extra);
        }
    }
    words
}

#[cfg(test)]
mod tests;
