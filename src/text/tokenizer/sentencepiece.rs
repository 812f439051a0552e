//! The parts of a SentencePiece model's file that are needed here: its pieces and its table of characters.

use std::path::Path;

use crate::error::{Error, Result, bail, error};

/// A SentencePiece model, read from its protocol buffer.
pub(super) struct SentencePiece {
    pub(super) pieces: Vec<SentencePiecePiece>,
    /// Whether it is a Unigram model, which chooses pieces by scores, and not one of merges.
    pub(super) is_unigram: bool,
    /// The compiled table by which characters are normalised, empty for none.
    pub(super) characters: Vec<u8>,
}

pub(super) struct SentencePiecePiece {
    pub(super) text: String,
    pub(super) score: f64,
    pub(super) kind: PieceKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceKind {
    /// Never in a text, such as `<s>`.
    Control,
    /// A symbol that its user wants to keep whole.
    UserDefined,
    Other,
}

/// The kinds of values in a protocol buffer.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
    Fixed64,
}

// The numbers of the fields, after SentencePiece's description of its model.
const PIECES: u64 = 1;
const TRAINER: u64 = 2;
const NORMALIZER: u64 = 3;
const PIECE_TEXT: u64 = 1;
const PIECE_SCORE: u64 = 2;
const PIECE_KIND: u64 = 3;
const TRAINER_MODEL: u64 = 3;
const NORMALIZER_TABLE: u64 = 2;
const UNIGRAM: u64 = 1;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

impl SentencePiece {
    pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Self> {
        Self::parse(bytes).map_err(|e| e.at(path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let mut model = Self { pieces: Vec::new(), is_unigram: true, characters: Vec::new() };
        let mut rest = bytes;
        while let Some((number, field)) = next(&mut rest)? {
            let Field::Bytes(bytes) = field else { continue };
            match number {
                PIECES => model.pieces.push(piece(bytes)?),
                TRAINER => model.is_unigram = model_kind(bytes)? == UNIGRAM,
                NORMALIZER => model.characters = table(bytes)?,
                _ => {}
            }
        }
        if model.pieces.is_empty() {
            bail!(File, "there are no pieces in it: is it a SentencePiece model, and all of it? Fetch it again")
        }
        Ok(model)
    }
}

fn piece(mut bytes: &[u8]) -> Result<SentencePiecePiece> {
    let mut piece = SentencePiecePiece { text: String::new(), score: 0., kind: PieceKind::Other };
    while let Some((number, field)) = next(&mut bytes)? {
        match (number, field) {
            (PIECE_TEXT, Field::Bytes(text)) => {
                piece.text = String::from_utf8(text.to_vec()).map_err(|_| broken())?;
            }
            (PIECE_SCORE, Field::Fixed32(score)) => piece.score = f64::from(f32::from_le_bytes(score)),
            (PIECE_KIND, Field::Number(CONTROL)) => piece.kind = PieceKind::Control,
            (PIECE_KIND, Field::Number(USER_DEFINED)) => piece.kind = PieceKind::UserDefined,
            _ => {}
        }
    }
    Ok(piece)
}

fn model_kind(mut bytes: &[u8]) -> Result<u64> {
    let mut kind = UNIGRAM;
    while let Some((number, field)) = next(&mut bytes)? {
        if let (TRAINER_MODEL, Field::Number(told)) = (number, field) {
            kind = told;
        }
    }
    Ok(kind)
}

fn table(mut bytes: &[u8]) -> Result<Vec<u8>> {
    let mut table = Vec::new();
    while let Some((number, field)) = next(&mut bytes)? {
        if let (NORMALIZER_TABLE, Field::Bytes(told)) = (number, field) {
            table = told.to_vec();
        }
    }
    Ok(table)
}

/// The next field with its number.
fn next<'a>(rest: &mut &'a [u8]) -> Result<Option<(u64, Field<'a>)>> {
    if rest.is_empty() {
        return Ok(None);
    }
    let key = variable(rest)?;
    let field = match key & 7 {
        0 => Field::Number(variable(rest)?),
        1 => {
            take(rest, 8)?;
            Field::Fixed64
        }
        2 => {
            let length = variable(rest)?;
            Field::Bytes(take(rest, usize::try_from(length).map_err(|_| broken())?)?)
        }
        5 => Field::Fixed32(take(rest, 4)?.try_into().map_err(|_| broken())?),
        _ => return Err(broken()),
    };
    Ok(Some((key >> 3, field)))
}

/// A number of variable length, seven bits in each byte.
fn variable(rest: &mut &[u8]) -> Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(broken())
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length).ok_or_else(broken)?;
    *rest = left;
    Ok(taken)
}

fn broken() -> Error {
    error!(File, "it is not a complete SentencePiece model: fetch it again")
}
