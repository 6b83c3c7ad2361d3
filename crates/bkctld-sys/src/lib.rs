//! System calls that no library offers, behind safe functions. The only unsafe code of the project:
//! every block says why it is sound.
